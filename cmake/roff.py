# SPDX-License-Identifier: MIT
# One man page: doxygen's XML of a text becomes lines for man(7).
import os
import re
import textwrap

CODE = ("verbatim", "programlisting", "preformatted")
BLOCKS = CODE + ("simplesect", "itemizedlist", "orderedlist", "variablelist", "parblock", "table",
                 "para", "sect1", "sect2", "sect3")
SPECIAL = {"ndash": "\\(en", "mdash": "\\(em", "nonbreakablespace": " ", "sp": " ",
           "linebreak": " "}
THREADS = re.compile(r"(?:^|(?<=[.)] ))(?:Any thread|Loop thread)[^.]*\.(?= |$)")


def escape(text, is_code=False):
    text = text.replace("\\", "\\e")
    return re.sub("-" if is_code else r"(?<!\w)-|-(?!\w)", r"\\-", text)


def plain(element):
    """All text within an element; a listing's lines as they stand."""
    text = (element.text or "") + (" " if element.tag == "sp" else "")
    for child in element:
        tail = "" if element.tag == "programlisting" else child.tail or ""
        text += plain(child) + ("\n" if child.tag == "codeline" else "") + tail
    return text


def one_line(element):
    return re.sub(r"\s+", " ", plain(element)).strip() if element is not None else ""


def spaced(declaration):
    """A declaration with its stars at the types."""
    return re.sub(r" ?(\*+) ?", r"\1 ", declaration).replace("(* ", "(*").strip()


def linked(text):
    """Functions, in bold and with their section."""
    text = re.sub(r"\\fB(uvdio_\w+)\(\)\\fP", r"\1()", text)
    return re.sub(r"\b(uvdio_\w+)\(\)", r"\\fB\1\\fP(3)", text)


class Page:
    """Lines of one man page. `pages` are names and sections by what doxygen calls them."""
    pages = {}

    def __init__(self, name, section, title, chapter=None):
        self.name, self.section, self.chapter = name, section, chapter
        self.threads = [] if section == 3 else None
        self.depth = 0
        about = title.rstrip(".")
        if not re.match(r"[A-Z]{2}|[A-Z]/", about):
            about = about[:1].lower() + about[1:]
        if len(about) > 100:
            about = re.split(r"[,:;] (?!.*[,:;] )", about[:100])[0].rsplit(" (", 1)[0]
        self.lines = [".SH NAME", f"{escape(name, True)} \\- {escape(about)}"]

    def section_of(self, title):
        self.lines.append(f'.SH "{title}"')

    def add(self, text):
        """Text of a paragraph, but for what it says of threads, which has a section of its own."""
        text = re.sub(r"\s+", " ", text).strip()
        if self.threads is not None:
            self.threads += THREADS.findall(text)
            text = re.sub(r"  +", " ", THREADS.sub("", text)).strip()
            text = text.replace("the checks above", f"the checks of {self.chapter}(7)")
            text = re.sub(r'see ("[A-Z][a-z ]+")', rf"see \1 in {self.chapter}(7)", text)
        for line in textwrap.wrap(linked(text), 98, break_long_words=False, break_on_hyphens=False):
            self.lines.append("\\&" + line if line[0] in ".'" else line)

    def code(self, text):
        self.lines += [".RS 4", ".nf"]
        for line in escape(text.strip("\n"), True).split("\n"):
            self.lines.append("\\&" + line if line[:1] in (".", "'") else line)
        self.lines += [".fi", ".RE"]

    def tag(self, text):
        text = linked(text)
        self.lines += [".TP", text if "\\f" in text else f"\\fB{text}\\fP"]

    def inline(self, element):
        """An element's text, with fonts and references to other pages."""
        if element.tag == "ref" and element.get("refid") in self.pages:
            name, section = self.pages[element.get("refid")]
            return f"\\fB{escape(name, True)}\\fP({section})"
        is_code = element.tag == "computeroutput"
        text = escape(element.text or "", is_code) + SPECIAL.get(element.tag, "")
        for child in element:
            text += self.inline(child) + escape(child.tail or "", is_code)
        font = {"computeroutput": "B", "bold": "B", "emphasis": "I"}.get(element.tag)
        return f"\\f{font}{text}\\fP" if font and text.strip() else text

    def blocks(self, element, lead=".PP", later=".PP"):
        """An element's paragraphs. `lead` opens the first one; without it that goes on."""
        text = escape(element.text or "")
        for child in list(element) + [None]:
            if child is not None and child.tag not in BLOCKS:
                text += self.inline(child) + escape(child.tail or "")
                continue
            if text.strip():
                self.lines += [lead] if lead else []
                self.add(text)
                lead = later
            if child is not None:
                before = len(self.lines)
                self.block(child, lead, later)
                lead = later if len(self.lines) > before else lead
                text = escape(child.tail or "")

    def block(self, child, lead, later):
        if child.tag in ("para", "parblock"):
            self.blocks(child, lead, later)
        elif child.tag in CODE and plain(child).startswith("usage: "):
            self.usage(plain(child))
        elif child.tag in CODE:
            self.lines += [lead] if lead == ".PP" else []
            self.code(plain(child))
        elif child.tag == "simplesect":
            self.lines += [later, f"\\fI{one_line(child.find('title'))}:\\fP"]
            self.blocks(child.find("para"), None)
        elif child.tag == "table":
            self.table(child)
        elif child.tag.startswith("sect"):
            title = escape(one_line(child.find("title")))
            is_first = child.tag == "sect1" and self.section != 1
            self.lines.append(f'.SH "{title.upper()}"' if is_first else f'.SS "{title}"')
            child.remove(child.find("title"))
            self.blocks(child, None)
        else:
            self.items(child)

    def items(self, child):
        self.lines += [".RS 4"] if self.depth else []
        self.depth += 1
        for number, item in enumerate(child.findall("listitem")):
            if child.tag == "variablelist":
                self.tag(self.inline(child.findall("varlistentry")[number].find("term")).strip())
            else:
                bullet = f"{number + 1}." if child.tag == "orderedlist" else "\\(bu"
                self.lines.append(f".IP {bullet} 4")
            self.item_body(item)
        self.depth -= 1
        self.lines += [".RE"] if self.depth else []

    def item_body(self, element):
        """What is said of an element, in the line of its tag."""
        before = len(self.lines)
        if element.tag == "listitem":
            self.blocks(element, None, ".IP")
        else:
            self.blocks(element.find("briefdescription"), None, ".IP")
            self.blocks(element.find("detaileddescription"), None, ".IP")
        if len(self.lines) == before:
            self.lines.append("\\&")

    def table(self, child):
        """Rows are items, of which each further cell has a line."""
        rows = [[" ".join(self.inline(para) for para in cell.findall("para")).strip()
                 for cell in row.findall("entry")] for row in child.findall("row")]
        for row in rows[1:]:
            self.tag(row[0])
            for number, cell in enumerate(row[1:], 1):
                if cell:
                    self.lines += [".br"] if number > 1 and self.lines[-2] != ".TP" else []
                    self.add(f"{rows[0][number]}: {cell}" if len(row) > 2 else cell)

    def usage(self, text):
        """What the command's --help prints: paragraphs, and items behind two spaces."""
        synopsis, *parts = text.strip().split("\n\n")
        synopsis = escape(re.sub(r"(?m)^(usage:|      ) ", "", synopsis), True).split("\n")
        place = self.lines.index(".fi")  # of the page's synopsis
        self.lines[place:place] = synopsis
        for part in parts:
            items = re.split(r"(?m)^  (?=\S)", "\n" + part)
            if items[0].strip():
                self.lines += [] if self.lines[-1].startswith(".S") else [".PP"]
                self.add(escape(items[0]))
            for item in items[1:]:
                tag, body = re.split(r"  +", item, maxsplit=1)
                self.tag(escape(tag, True))
                self.add(escape(body))

    def write(self, folder, version, date):
        folder = os.path.join(folder, f"man{self.section}")
        os.makedirs(folder, exist_ok=True)
        title = escape(self.name.upper(), True)
        path = os.path.join(folder, f"{self.name}.{self.section}")
        with open(path, "w", encoding="utf-8") as out:
            out.write(f'.TH "{title}" {self.section} "{date}" "uvdio {version}" "uvdio"\n')
            out.write(".nh\n.ad l\n")
            out.write("\n".join(self.lines) + "\n")
