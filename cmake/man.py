# SPDX-License-Identifier: MIT
# Writes man pages from what doxygen has found (its XML) in the headers and the pages of src/docs/.
#   python3 cmake/man.py XML HEADERS OUT VERSION DATE
#
# Section 3 has a page for each function, type and callback, and links from constants to the page
# that has them; section 7 one for each page of src/docs/, for each chapter of the reference (a
# group of uvdio.h, or another header), and for each header for C++; section 1 the command. The text
# is that of the comments and pages; nothing is said here a second time but what a kind of function
# has in common.
import os
import re
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

from roff import Page, escape, one_line, spaced

OPERATION = ("uvdio_cb", "uvdio_io_cb", "uvdio_vector_cb")
END = re.compile(r"uvdio_(append|engine|group|log|log_append|log_reader|room|stream)_cb (open_)?cb")


class Reference:
    """What doxygen has found: compounds by their names for it, and which chapter has what."""

    def __init__(self, xml, headers):
        roots = [ElementTree.parse(os.path.join(xml, name)).getroot() for name in os.listdir(xml)
                 if name.endswith(".xml") and name not in ("index.xml", "Doxyfile.xml")]
        self.compounds = {entry.get("id"): entry for root in roots for entry in root}
        self.headers = {place: entry for place, entry in self.located("file")
                        if place.endswith(".h")}
        self.structures = {type_name(entry.findtext("compoundname"))
                           for entry in self.compounds.values() if entry.get("kind") == "struct"
                           and "::" not in entry.findtext("compoundname")}
        self.types = set(self.structures)  # and the others that have a page
        self.texts = {}  # pages of src/docs/ by their man page
        for place, entry in self.located("page"):
            stem = os.path.splitext(os.path.basename(place))[0].replace("_", "-")
            name = stem if stem == "uvdio" else f"uvdio-{stem}"
            self.texts[name] = entry
            Page.pages[entry.get("id")] = (("uvdio", 1) if stem == "command" else (name, 7))
        self.families = {}  # functions that differ by a suffix, by the name without it
        for member in (each for entry in self.compounds.values()
                       for each in entry.findall("sectiondef/memberdef")):
            if member.get("kind") == "function":
                name = member.findtext("name")
                self.families.setdefault(family_of(name), set()).add(name)
            elif member.get("kind") in ("typedef", "enum"):
                self.types.add(member.findtext("name"))
        self.chapters = {"uvdio": ("uvdio.h", [])}  # the header, and groups in their order
        for header in sorted(self.headers):
            with open(os.path.join(headers, header), encoding="utf-8") as source:
                groups = re.findall(r"@defgroup (\w+)", source.read())
            for group in groups:
                self.add(header, group, self.compounds["group__" + group.replace("_", "__")])
            if not groups:
                self.add(header, None, self.headers[header])
        self.cxx = {place: entry for place, entry in self.located("file")
                    if place.endswith(".hpp")}
        for header, entry in self.cxx.items():
            Page.pages[entry.get("id")] = (cxx_page(header), 7)
        self.grouped = {each.get("refid") for entry in self.compounds.values()
                        if entry.get("kind") == "group" for each in entry.findall("innerclass")}

    def located(self, kind):
        for entry in self.compounds.values():
            if entry.get("kind") == kind and entry.find("location") is not None:
                yield entry.find("location").get("file"), entry

    def add(self, header, group, entry):
        stem = group if header == "uvdio.h" else os.path.basename(header)[:-2]
        name = f"uvdio-{stem.replace('_', '-')}"
        self.chapters.setdefault(name, (header, []))[1].append(entry)
        Page.pages[entry.get("id")] = (name, 7)

    def contents(self, owners):
        """Names and elements of what belongs to a header (without its groups) and to groups."""
        for owner in owners:
            for member in owner.iter("memberdef"):
                if owner.get("kind") == "group" or "group__" not in member.get("id"):
                    yield member.findtext("name"), member
            for each in owner.findall("innerclass"):
                if owner.get("kind") == "group" or each.get("refid") not in self.grouped:
                    yield type_name(each.text), self.compounds[each.get("refid")]


def type_name(name):
    return re.sub("_s$", "_t", name)


def family_of(name):
    return re.sub(r"v?(_exact|_flags|_at|_range)*$", "", name)


def cxx_page(header):
    """uvdio/stream.hpp: uvdio-stream-hpp"""
    stem = os.path.basename(header)[:-4]
    return "uvdio-hpp" if stem == "uvdio" else f"uvdio-{stem}-hpp"


def see_also(names, pages):
    bold = [f"\\fB{name}\\fP(3)" for name in sorted(names)]
    return ",\n".join(bold + [f"\\fB{escape(page, True)}\\fP(7)" for page in pages])


class Manual:
    def __init__(self, reference):
        self.reference, self.output, self.links = reference, [], {}

    def begin(self, name, member, header, chapter, declaration):
        page = Page(name, 3, one_line(member.find("briefdescription")), chapter)
        self.output.append(page)
        page.section_of("SYNOPSIS")
        page.lines += [".nf", f".B #include <{header}>", ".PP"]
        page.lines += [escape(line, True).replace("\0", " ") for line in
                       textwrap.wrap(declaration, 72, subsequent_indent="    ")]
        page.lines.append(".fi")
        page.section_of("DESCRIPTION")
        page.blocks(member.find("briefdescription"), None)
        page.blocks(member.find("detaileddescription"), None)
        return page

    def end(self, page, declaration=""):
        """What every page of section 3 ends with."""
        if page.threads:
            page.section_of("THREADS")
            threads, page.threads = page.threads, None
            page.add(" ".join(threads))
        names = set(re.findall(r"\\fB(uvdio_\w+)\\fP\(3\)", "\n".join(page.lines)))
        names |= {name for name in self.reference.types if re.search(rf"\b{name}\b", declaration)}
        names |= self.reference.families.get(family_of(page.name), set())
        page.section_of("SEE ALSO")
        page.lines.append(see_also(names - {page.name}, (page.chapter, "uvdio", "uvdio-threads")))

    def function(self, name, member, header, chapter):
        parameters = [spaced(f"{one_line(each.find('type'))} {each.findtext('declname') or ''}")
                      for each in member.findall("param")]
        result = one_line(member.find("type"))
        declaration = ", ".join(each.replace(" ", "\0") for each in parameters)
        declaration = spaced(f"{result} {name}") + f"({declaration});"
        errors = []
        for para in member.findall("detaileddescription/para"):
            for each in para.findall("simplesect"):
                errors.append((one_line(each.find("title")), each.find("para")))
                para.remove(each)
        page = self.begin(name, member, header, chapter, declaration)
        is_operation = any(each.split()[0] in OPERATION for each in parameters)
        if result != "void":
            page.section_of("RETURN VALUE")
            page.add(self.returned(member, result, parameters, is_operation))
        if errors:
            page.section_of("ERRORS")
        for title, para in errors:
            if title != "Errors":
                page.tag(title.replace("Errors r", "R").replace("Errors d", "D"))
            page.blocks(para, None)
        if is_operation and not page.threads:
            page.threads = ["Loop thread; another one gets UVDIO_ETHREAD."]
        self.end(page, declaration)

    @staticmethod
    def returned(member, result, parameters, is_operation):
        """What the text says that the call returns, or what all of its kind return."""
        words = " ".join(one_line(member.find(each))
                         for each in ("briefdescription", "detaileddescription"))
        sentences = [each for each in re.split(r"(?<=\.) (?=[A-Z])", words)
                     if re.search(r"^(The call )?[Rr]eturns\b|\band returns\b", each)]
        if is_operation:
            return ("0: the operation was accepted, and its callback follows; with a null callback "
                    "it has succeeded. A negative code: nothing was taken, no callback follows.")
        if sentences:
            return escape(" ".join(sentences))
        if result == "int" and any(END.fullmatch(each) for each in parameters):
            null = ", unless it is null" if re.search(r"\bcb \((which )?may be null", words) else ""
            return (f"0: the call was accepted, and its callback follows{null}. A negative code: "
                    "nothing was taken, no callback follows.")
        if result == "int":
            return "0, or a negative code, for which uvdio_strerror() has a text."
        return escape(one_line(member.find("briefdescription")))

    def structure(self, name, compound, header, chapter):
        declaration = f"typedef struct {name[:-2]}_s {name};"
        page = self.begin(name, compound, header, chapter, declaration)
        members = compound.findall("sectiondef/memberdef")
        if members:
            page.section_of("MEMBERS")
        for member in members:
            text = f"{one_line(member.find('type'))} {member.findtext('name')}"
            page.tag(escape(spaced(text + (member.findtext("argsstring") or "")), True))
            page.item_body(member)
        self.end(page)

    def enumeration(self, name, member, header, chapter):
        declaration = f"typedef enum {{ ... }} {name};" if name.endswith("_t") else f"enum {name};"
        page = self.begin(name, member, header, chapter, declaration)
        page.section_of("VALUES")
        for value in member.findall("enumvalue"):
            text = f"{value.findtext('name')} {value.findtext('initializer') or ''}"
            page.tag(escape(text.strip(), True))
            page.item_body(value)
            self.links[value.findtext("name")] = f"man3/{name}.3"
        self.end(page)

    def typedef(self, name, member, header, chapter):
        if name not in self.reference.structures:
            declaration = spaced(member.findtext("definition")) + ";"
            self.end(self.begin(name, member, header, chapter, declaration), declaration)

    def constant(self, page, name, member):
        value = one_line(member.find("initializer"))
        is_value = 0 < len(value) < 40 and member.find("param") is None
        page.tag(escape(f"{name} {value}" if is_value else name, True))
        page.item_body(member)
        self.links[name] = f"man7/{page.name}.7"

    def text(self, name, section=7):
        """A page of src/docs/, whose title is "Name: what it is about"."""
        entry = self.reference.texts[name]
        page = Page("uvdio" if section == 1 else name, section,
                    entry.findtext("title").rpartition(": ")[2])
        if section == 1:
            page.section_of("SYNOPSIS")
            page.lines += [".nf", ".fi"]
        page.section_of("DESCRIPTION")
        page.blocks(entry.find("detaileddescription"), None)
        self.output.append(page)
        return page

    def chapter(self, name, header, groups):
        owners = list(groups)
        if header != "uvdio.h" or name == "uvdio":
            owners.insert(0, self.reference.headers[header])
        if name == "uvdio":
            page = self.text(name)
        else:
            title = owners[0].findtext("title") or one_line(owners[0].find("briefdescription"))
            page = Page(name, 7, title)
            self.output.append(page)
            page.section_of("SYNOPSIS")
            page.lines.append(f".B #include <{header}>")
        for owner in owners:
            title = "INTERFACE" if name == "uvdio" else owner.findtext("title") or "DESCRIPTION"
            self.owner(page, owner, title)
        contents = list(self.reference.contents(owners))
        self.names(page, contents)
        for member_name, member in contents:
            write = {"function": self.function, "enum": self.enumeration,
                     "struct": self.structure, "typedef": self.typedef}.get(member.get("kind"))
            if write:
                write(member_name, member, header, name)

    @staticmethod
    def owner(page, owner, title):
        """What a header says of itself, or a group of itself and its parts."""
        page.section_of(escape(title.upper()))
        for text in ("briefdescription", "detaileddescription"):
            page.blocks(owner.find(text), None)
        for part in owner.findall("sectiondef") if owner.get("kind") == "group" else []:
            if part.find("header") is not None:
                page.lines.append(f'.SS "{escape(part.findtext("header"))}"')
                page.blocks(part.find("description"), None)
        while page.lines[-1].startswith(".S"):
            page.lines.pop()

    def names(self, page, contents):
        """A chapter's constants with their texts, and the names of what has a page."""
        for title, kinds in (("CONSTANTS", ("define",)), ("TYPES", ("typedef", "enum", "struct")),
                             ("FUNCTIONS", ("function",))):
            shown = [each for each in contents if each[1].get("kind") in kinds]
            if shown:
                page.section_of(title)
            for name, member in shown:
                if title == "CONSTANTS":
                    self.constant(page, name, member)
                else:
                    page.tag(f"\\fB{name}\\fP(3)")
                    page.blocks(member.find("briefdescription"), None)

    def cxx_header(self, header, entry):
        """A header for C++: what it says of itself, then its classes with their members."""
        page = Page(cxx_page(header), 7, one_line(entry.find("briefdescription")))
        self.output.append(page)
        page.section_of("SYNOPSIS")
        page.lines.append(f".B #include <{header}>")
        page.section_of("DESCRIPTION")
        page.blocks(entry.find("briefdescription"), None)
        page.blocks(entry.find("detaileddescription"))
        owners = [each for place, each in self.reference.located("namespace")]
        for kind in ("class", "struct"):
            owners += [each for place, each in self.reference.located(kind) if place == header]
        for owner in sorted(owners, key=lambda each: each.findtext("compoundname")):
            members = [each for each in owner.findall("sectiondef/memberdef")
                       if each.get("prot") == "public" and one_line(each.find("briefdescription"))
                       and each.find("location").get("file") == header]
            if members or (owner.get("prot") == "public" and owner.get("kind") != "namespace"
                           and one_line(owner.find("briefdescription"))):
                self.cxx_class(page, owner, members)

    @staticmethod
    def cxx_class(page, owner, members):
        page.section_of(owner.findtext("compoundname"))
        if owner.get("kind") != "namespace":
            page.blocks(owner.find("briefdescription"), None)
            page.blocks(owner.find("detaileddescription"))
        for member in members:
            arguments = (member.findtext("argsstring") or "").replace(" noexcept", "")
            static = "static " if member.get("static") == "yes" else ""
            text = f"{static}{one_line(member.find('type'))} {member.findtext('name')}{arguments}"
            text = re.sub(r" ?([&*]+) ?(?=\w)", r"\1 ", text.replace("< ", "<").replace(" >", ">"))
            page.tag(escape(text.strip(), True))
            page.item_body(member)

    def named_in(self, text):
        """Pages of section 7 that a text names: themselves, their header, or a call of theirs."""
        pages = re.findall(r"\\fB([a-z\\-]+)\\fP\(7\)", text)
        headers = re.findall(r"uvdio/(\w+)\.h\b", text)
        pages += [f"uvdio-{each.replace('_', '-')}" for each in headers]
        pages += [each.chapter for each in self.output if f"\\fB{each.name}\\fP(3)" in text]
        return {each.replace("\\", "") for each in pages}

    def end_text(self, page):
        """References of a page that is no function's: uvdio(7) has all, others what they name."""
        sections = {each.name for each in self.output if each.section == 7}
        if (page.name, page.section) != ("uvdio", 7):
            sections &= {"uvdio"} | self.named_in("\n".join(page.lines))
        if page.name.startswith("uvdio-guide-"):
            sections.add("uvdio-guide")
        page.section_of("SEE ALSO")
        page.lines.append(see_also((), sorted(sections - ({page.name} if page.section == 7
                                                          else set()))))

    def write(self, out, version, date):
        for name, (header, groups) in self.reference.chapters.items():
            self.chapter(name, header, groups)
        for name in self.reference.texts:
            if name == "uvdio-command":
                self.text(name, 1)
            elif name != "uvdio":
                self.text(name)
        for header, entry in sorted(self.reference.cxx.items()):
            self.cxx_header(header, entry)
        for page in self.output:
            if page.section != 3:
                self.end_text(page)
            page.write(out, version, date)
        for name, target in self.links.items():
            with open(os.path.join(out, "man3", f"{name}.3"), "w", encoding="utf-8") as link:
                link.write(f".so {target}\n")
        print(f"{len(self.output)} man pages and {len(self.links)} links to them: {out}")


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit("usage: man.py XML HEADERS OUT VERSION DATE")
    Manual(Reference(*sys.argv[1:3])).write(*sys.argv[3:])
