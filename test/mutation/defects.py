# SPDX-License-Identifier: MIT
"""Defects that nobody chose: every place of src/ where one of the operators below applies.

A site has a name that outlives changes elsewhere in the file: file:function:operator:hash, where
the hash is of the statement (its tokens, without blanks and comments), of the place in it, and of
how often the same came before in that function.
"""
import glob
import hashlib
import os
import re

# Other systems' files are not compiled here; debug/ownership.c is in debugging builds only.
NOT_BUILT = ("src/os/darwin.c", "src/os/windows.c",
             "src/debug/ownership.c", "src/debug/ownership.h")

TOKEN = re.compile(r"""
  (?P<comment>/\*.*?\*/|//[^\n]*)
 |(?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
 |(?P<string>"(?:[^"\\\n]|\\.)*")
 |(?P<char>'(?:[^'\\\n]|\\.)+')
 |(?P<name>[A-Za-z_]\w*)
 |(?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
 |(?P<mark>\.\.\.|<<=|>>=|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|[^\s])
""", re.X | re.S | re.M)

KEYWORDS = {"if", "while", "for", "switch", "return", "sizeof", "do", "else", "case", "goto",
            "_Static_assert", "assert", "offsetof", "_Alignof", "defined"}
TYPE_WORDS = {"const", "static", "unsigned", "signed", "int", "char", "long", "short", "struct",
              "union", "enum", "void", "double", "float", "volatile", "register", "_Atomic",
              "extern", "typedef"}
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
CONSTANT = re.compile(r"^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*_?$")
# Families of constants that system headers define: what of them src/ names.
FOREIGN = [r"UV_E[A-Z0-9]+", r"E[A-Z0-9]{2,}", r"IORING_OP_\w+", r"IORING_REGISTER_\w+",
           r"IORING_SETUP_\w+", r"IORING_FEAT_\w+", r"IORING_SQ_\w+", r"IOSQE_\w+", r"O_[A-Z]+",
           r"FALLOC_FL_\w+", r"MADV_\w+", r"PROT_\w+", r"MAP_[A-Z_]+", r"RWF_\w+", r"S_I[A-Z]+",
           r"SIG[A-Z]+", r"SEEK_\w+", r"STATX_\w+", r"UV_RUN_\w+"]
SYMMETRIC = {"strcmp", "strncmp", "memcmp"}  # where they are asked for equality, as here
# What an operand of a comparison has none of, but within brackets.
OPERAND_ENDS = set(COMPARISONS) | set(LOGIC) | set("(=?:;,{}[") | {"return"}
LIST_OPERATION = re.compile(r"list|append|prepend|remove|insert|unlink|push|pop|queue|link")


class Token:
    __slots__ = ("kind", "text", "start", "end")

    def __init__(self, match):
        self.kind, self.text = match.lastgroup, match.group()
        self.start, self.end = match.span()


class Site:
    """One defect: `source[start:end]` becomes `text`."""

    def __init__(self, path, function, operator, statement, place, edit, body):
        self.path, self.function, self.operator = path, function, operator
        self.statement, self.place = statement, place
        self.start, self.end, self.text = edit
        self.body = body
        self.function_span = None
        self.name = ""

    def key(self):
        """What a result holds for: this defect in this text of the function."""
        return hashlib.sha256(repr((self.name, self.body, self.text)).encode()).hexdigest()[:12]

    def places(self, _):
        """The defect, and the function that it is in: (start, end)."""
        return (self.start, self.end), self.function_span

    def apply(self, source):
        return source[:self.start] + self.text + source[self.end:]


def without_cast(text):
    """An expression in brackets, or a name, without the type that it is made."""
    found = re.fullmatch(r"\( \w+ \) (?:\( ([^()]*) \)|(\w+))", text)
    return found.group(1) or found.group(2) if found else text


def significant(source):
    return [token for token in map(Token, TOKEN.finditer(source))
            if token.kind not in ("comment", "directive")]


def match_of(tokens, i, step=1):
    """Where the bracket at i is closed, or opened where step is -1."""
    opening, closing = ("({[", ")}]") if step == 1 else (")}]", "({[")
    depth = 0
    while 0 <= i < len(tokens):
        if tokens[i].text in opening:
            depth += 1
        elif tokens[i].text in closing:
            depth -= 1
            if depth == 0:
                return i
        i += step
    raise ValueError("a bracket is not closed")


def functions(tokens):
    """(name, index of `{`, index of `}`, tokens of the return type) of each function."""
    i = begin = 0
    while i < len(tokens):
        text = tokens[i].text
        if text == "{":
            end = match_of(tokens, i)
            if i > 0 and tokens[i - 1].text == ")":
                opening = match_of(tokens, i - 1, -1)
                yield (tokens[opening - 1].text, i, end,
                       [token.text for token in tokens[begin:opening - 1]])
                begin = end + 1
            i = end
        elif text == "(":
            i = match_of(tokens, i)
        elif text == ";":
            begin = i + 1
        i += 1


class Function:
    """Walks the statements of one function and gathers its sites."""

    def __init__(self, path, tokens, found, families):
        self.path, self.tokens, self.families = path, tokens, families
        self.name, self.opening, self.closing, self.type = found
        self.body = " ".join(token.text for token in tokens[self.opening:self.closing + 1])
        self.sites = []

    def text_of(self, first, last):
        return " ".join(token.text for token in self.tokens[first:last + 1])

    def add(self, operator, statement, place, first, last, text):
        edit = (self.tokens[first].start, self.tokens[last].end, text)
        self.sites.append(Site(self.path, self.name, operator, statement, place, edit, self.body))

    def insert(self, operator, statement, before, text):
        at = self.tokens[before].start
        edit = (at, at, text)
        self.sites.append(Site(self.path, self.name, operator, statement, 0, edit, self.body))

    def walk(self):
        self.block(self.opening, 0)
        for site in self.sites:
            site.function_span = (self.tokens[self.opening].start, self.tokens[self.closing].end)
        return self.sites

    # Statements. Each returns the index after it.

    def block(self, i, depth):
        end = match_of(self.tokens, i)
        i += 1
        is_first = True
        while i < end:
            if depth == 0:
                is_first = self.returns_early(i, end, is_first)
            i = self.statement(i, depth + 1)
        return end + 1

    def returns_early(self, i, end, is_first):
        """Leaves the function before this statement. Before a declaration nothing has happened that
        the first would not show."""
        if self.is_declaration(i):
            return is_first
        text = self.text_of(i, min(self.end_of(i), end))
        if not self.tokens[i].text == "return" or is_first:
            value = " NULL" if "*" in self.type else "" if "void" in self.type else " 0"
            self.insert("return_early", text, i, f"return{value}; ")
        return False

    def end_of(self, i):
        """The `;` that ends a simple statement, or what opens a block."""
        while i < self.closing and self.tokens[i].text not in (";", "{"):
            i = match_of(self.tokens, i) + 1 if self.tokens[i].text in "([" else i + 1
        return i

    def is_declaration(self, i):
        first, second = self.tokens[i], self.tokens[i + 1]
        if first.kind != "name" or first.text in KEYWORDS | {"break", "continue"}:
            return False
        if first.text in TYPE_WORDS or second.kind == "name":
            return True
        j = i + 1
        while self.tokens[j].text == "*":
            j += 1
        is_pointer = j > i + 1 and self.tokens[j].kind == "name"
        return is_pointer and self.tokens[j + 1].text in ("=", ";", ",", "[")

    def statement(self, i, depth):
        text = self.tokens[i].text
        if text == "{":
            return self.block(i, depth)
        if text in ("if", "while", "switch", "for"):
            return self.controlled(i, depth)
        if text == "else":
            return self.statement(i + 1, depth)
        if text == "do":
            return self.statement(i + 1, depth)  # its `while` is one without a body
        if text in ("case", "default"):
            while self.tokens[i].text != ":":
                i += 1
            return i + 1
        if self.tokens[i + 1].text == ":" and self.tokens[i].kind == "name":
            return i + 2
        return self.simple(i, depth)

    def controlled(self, i, depth):
        opening = i + 1
        closing = match_of(self.tokens, opening)
        head = self.text_of(i, closing)
        first, last = opening + 1, closing - 1
        if self.tokens[i].text == "for":
            semicolons = [j for j in range(first, closing) if self.tokens[j].text == ";"]
            if len(semicolons) == 2 and semicolons[1] > semicolons[0] + 1:
                self.negate(head, semicolons[0] + 1, semicolons[1] - 1)
        elif self.tokens[i].text != "switch":
            self.negate(head, first, last)
        self.expression(head, first, last)
        return self.statement(closing + 1, depth + 1)

    def negate(self, head, first, last):
        tokens = self.tokens
        source = tokens[first].text if first == last else None
        if tokens[first].text == "!" and last == first + 1:
            self.add("negate", head, first - self.opening, first, first, "")
        elif source is not None:
            self.add("negate", head, 0, first, last, "!" + source)
        else:
            self.insert("negate", head, first, "!(")
            self.sites[-1].closing = tokens[last].end

    def simple(self, i, depth):
        end = i
        while self.tokens[end].text != ";":
            end = match_of(self.tokens, end) + 1 if self.tokens[end].text in "([{" else end + 1
            if self.tokens[end - 1].text == "}" and self.tokens[i + 1].text == "(":
                return end  # a macro with a block
        text = self.text_of(i, end)
        word = self.tokens[i].text
        if word in ("assert", "_Static_assert", ";"):
            return end + 1
        if self.is_declaration(i):
            if word != "static":
                self.initialiser(text, i, end)
            return end + 1
        if word != "return" or depth > 1:
            # Not for (void)name;
            if not (word == "(" and self.tokens[i + 1].text == "void" and end == i + 4):
                operator = "drop_list_operation" if self.is_list_operation(i) else "delete"
                self.add(operator, text, 0, i, end, ";")
        self.expression(text, i, end)
        return end + 1

    def is_list_operation(self, i):
        name, opening = self.tokens[i].text, self.tokens[i + 1].text
        return opening == "(" and LIST_OPERATION.search(name) is not None

    def initialiser(self, text, i, end):
        while i < end and self.tokens[i].text != "=":
            i += 1
        if i < end:
            self.expression(text, i + 1, end)

    # Expressions.

    def expression(self, statement, first, last):
        tokens, i = self.tokens, first
        while i <= last:
            token = tokens[i]
            place = i - first
            if token.text in ("assert", "_Static_assert", "sizeof") and tokens[i + 1].text == "(":
                i = match_of(tokens, i + 1) + 1
                continue
            if token.text in COMPARISONS and not self.is_limit(i):
                self.add("compare", statement, place, i, i, COMPARISONS[token.text])
            elif token.text in LOGIC:
                self.add("logic", statement, place, i, i, LOGIC[token.text])
            elif token.kind == "number":
                self.off_by_one(statement, place, i)
            elif token.text == "|":
                self.flags(statement, place, i)
            elif token.kind == "name" and token.text in self.families:
                self.add("constant", statement, place, i, i, self.families[token.text])
            elif (token.kind == "name" and i < last and tokens[i + 1].text == "("
                  and token.text not in KEYWORDS):
                self.arguments(statement, place, i)
            i += 1

    def is_limit(self, i):
        """Whether the comparison picks the smaller or the larger of two values, or how much larger
        one is, which does not depend on what it says of equal ones: `a < b ? a : b`,
        `if (a < b) { a = b; }`, `a > b ? a - b : 0`."""
        if self.tokens[i].text not in ("<", "<=", ">", ">="):
            return False
        left = self.text_of(self.first_of(i - 1), i - 1)
        last = self.last_of(i + 1)
        right, end = self.text_of(i + 1, last), last + 1
        if self.tokens[end].text == "?":
            colon = self.last_of(end + 1) + 1
            chosen = (self.text_of(end + 1, colon - 1),
                      self.text_of(colon + 1, self.last_of(colon + 1)))
        elif self.tokens[end].text == ")" and self.tokens[end + 1].text == "{":
            equals = self.last_of(end + 2) + 1
            semicolon = self.last_of(equals + 1) + 1
            if self.tokens[equals].text != "=" or self.tokens[semicolon + 1].text != "}":
                return False
            chosen = (self.text_of(end + 2, equals - 1),
                      self.text_of(equals + 1, semicolon - 1))
        else:
            return False
        return tuple(map(without_cast, chosen)) in (
            (left, right), (right, left), (f"{left} - {right}", "0"), (f"{right} - {left}", "0"))

    def first_of(self, i):
        """Where the operand begins that ends at i."""
        while self.tokens[i].text not in OPERAND_ENDS:
            i = match_of(self.tokens, i, -1) - 1 if self.tokens[i].text in (")", "]") else i - 1
        return i + 1

    def last_of(self, i):
        """Where the operand ends that begins at i."""
        while True:
            text = self.tokens[i].text
            if text in ("(", "["):
                i = match_of(self.tokens, i)
            elif text in OPERAND_ENDS or text in (")", "]"):
                return i - 1
            i += 1

    def off_by_one(self, statement, place, i):
        found = re.fullmatch(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)", self.tokens[i].text)
        if found:
            digits = found.group(1)
            value = int(digits, 8 if re.fullmatch(r"0\d+", digits) else 0)
            other = 0 if value == 1 else value + 1
            self.add("off_by_one", statement, place, i, i, f"{other}{found.group(2)}")

    def flags(self, statement, place, i):
        left, right = self.tokens[i - 1], self.tokens[i + 1]
        if CONSTANT.match(right.text) and self.tokens[i + 2].text != "(":
            self.add("drop_flag", statement, place, i, i + 1, "")
        if CONSTANT.match(left.text) and self.tokens[i - 2].text not in ("|", "."):
            self.add("drop_flag", statement, place - 1, i - 1, i, "")

    def arguments(self, statement, place, i):
        closing = match_of(self.tokens, i + 1)
        starts, parts, j = i + 2, [], i + 2
        while j <= closing:
            if self.tokens[j].text == "," or j == closing:
                if j > starts:
                    parts.append((starts, j - 1))
                starts = j + 1
            elif self.tokens[j].text in "([{":
                j = match_of(self.tokens, j)
            j += 1
        for number, ((a, b), (c, d)) in enumerate(zip(parts, parts[1:])):
            one, two = self.text_of(a, b), self.text_of(c, d)
            if one != two and not (number == 0 and self.tokens[i].text in SYMMETRIC):
                self.add("swap_arguments", statement, place + number, a, d, f"{two}, {one}")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def is_subject(path):
    if os.path.dirname(path).endswith("cli"):
        return path.endswith(".c")
    return path not in NOT_BUILT


def sources(root):
    found = []
    for pattern in ("src/*.c", "src/*.h", "src/*/*.c", "src/*/*.h"):
        found += glob.glob(pattern, root_dir=root)
    return sorted(path for path in set(found) if is_subject(path))


def constant_families(root):
    """For each constant another one of its enum, or of the same family of #defines: the next one,
    in a circle."""
    families, seen = {}, set()
    for path in sources(root) + sorted(glob.glob("include/**/*.h", root_dir=root, recursive=True)):
        text = re.sub(r"/\*.*?\*/", "", read(root, path), flags=re.S)
        seen.update(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
        for body in re.findall(r"\benum\b[^{;()]*\{([^}]*)\}", text):
            names = re.findall(r"(?:^|,)\s*([A-Z][A-Z0-9_]*)", body)
            circle(families, names)
        groups = {}
        for name in re.findall(r"^#define ([A-Z][A-Z0-9_]*) \S", text, flags=re.M):
            groups.setdefault(name.rsplit("_", 1)[0], []).append(name)
        for names in groups.values():
            circle(families, names)
    for pattern in FOREIGN:
        circle(families, sorted(name for name in seen if re.fullmatch(pattern, name)))
    return families


def circle(families, names):
    if len(names) > 1:
        for one, two in zip(names, names[1:] + names[:1]):
            families.setdefault(one, two)


def name_sites(sites):
    """Gives each site its name; those that look alike are numbered in their order."""
    counts = {}
    for site in sites:
        same = (site.path, site.function, site.operator, site.statement, site.place, site.text)
        counts[same] = number = counts.get(same, 0) + 1
        digest = hashlib.sha256(repr((same[3:], number)).encode()).hexdigest()[:8]
        site.name = f"{site.path}:{site.function}:{site.operator}:{digest}"
    return sites


def sites_of(root, path, families=None):
    source = read(root, path)
    tokens = significant(source)
    sites = []
    for found in functions(tokens):
        sites += Function(path, tokens, found, families or constant_families(root)).walk()
    for site in sites:  # a negation has two ends
        if hasattr(site, "closing"):
            site.text, site.end = f"!({source[site.start:site.closing]})", site.closing
    return name_sites(sites)


def all_sites(root):
    families = constant_families(root)
    return [site for path in sources(root) for site in sites_of(root, path, families)]
