"""A session of Python's imaplib: HOST PORT CA ADDRESS, the password on standard input. Exits 0 when all holds."""
import imaplib
import ssl
import sys

host, port, ca, address = sys.argv[1:]
password = sys.stdin.readline().rstrip("\n")
MESSAGE = b"From: carol@elsewhere.test\r\nSubject: imaplib\r\n\r\n" + b"line\r\n" * 1000


def good(response):
    status, data = response
    assert status == "OK", response
    return data


# STARTTLS, and nothing but STARTTLS before it.
imap = imaplib.IMAP4(host, int(port))
assert "LOGINDISABLED" in imap.capabilities and "AUTH=PLAIN" not in imap.capabilities, imap.capabilities
good(imap.starttls(ssl.create_default_context(cafile=ca)))
assert "LOGINDISABLED" not in imap.capabilities and "AUTH=PLAIN" in imap.capabilities, imap.capabilities
good(imap.authenticate("PLAIN", lambda _: f"\0{address}\0{password}".encode()))
assert imap.state == "AUTH"
good(imap.enable("CONDSTORE"))

good(imap.create("Work"))
good(imap.subscribe("Work"))
assert any(b"Work" in line for line in good(imap.lsub()))

for flags in (None, "(\\Seen)", "(\\Deleted \\Draft)"):
    good(imap.append("Work", flags, '"20-Nov-2026 08:09:10 +0000"', MESSAGE))
assert good(imap.select("Work")) == [b"3"]
assert int(imap.untagged_responses["UIDVALIDITY"][0]) > 0

# Exact octets, whole and in part; a partial read beyond the end is empty.
((_, body), _) = good(imap.uid("FETCH", "1", "(BODY.PEEK[])"))
assert body == MESSAGE
((_, part), _) = good(imap.fetch("1", "(BODY.PEEK[TEXT]<6.10>)"))
assert part == b"line\r\nline"
(answer,) = good(imap.fetch("1", "(RFC822.SIZE INTERNALDATE)"))
assert b"RFC822.SIZE %d" % len(MESSAGE) in answer and b'"20-Nov-2026 08:09:10 +0000"' in answer, answer

# SEARCH by flags, by date, by text.
assert good(imap.search(None, "UNSEEN")) == [b"1 3"]
assert good(imap.search(None, "SINCE", "20-Nov-2026", "BEFORE", "21-Nov-2026")) == [b"1 2 3"]
assert good(imap.search(None, "SUBJECT", '"IMAPLIB"', "NOT", "DELETED")) == [b"1 2"]

# FETCH of BODY[] sets \Seen; STORE replaces, adds and removes.
good(imap.fetch("1", "(BODY[])"))
assert good(imap.search(None, "UNSEEN")) == [b"3"]
good(imap.store("1:2", "+FLAGS", "(\\Answered Custom)"))
good(imap.store("2", "-FLAGS.SILENT", "(\\Answered)"))
assert good(imap.search(None, "KEYWORD", "Custom")) == [b"1 2"]
assert good(imap.search(None, "ANSWERED")) == [b"1"]

# What imaplib knows only as text: pages of a search, a saved result, object ids, batches.
good(imap.uid("SEARCH", "RETURN", "(SAVE COUNT PARTIAL -1:-2)", "ALL"))
esearch = imap.response("ESEARCH")[1][-1]
assert b"UID" in esearch and b"PARTIAL (-1:-2 2:3)" in esearch and b"COUNT 3" in esearch, esearch
(first, *_) = good(imap.uid("FETCH", "$", "(EMAILID THREADID SAVEDATE PREVIEW)"))
first = first[0] + first[1] if isinstance(first, tuple) else first
assert b"EMAILID (M" in first and b"THREADID NIL" in first and b'SAVEDATE "' in first, first
imaplib.Commands["UIDBATCHES"] = ("SELECTED",)
good(imap._simple_command("UIDBATCHES", "500"))
batches = imap.response("UIDBATCHES")[1][-1]
assert batches.endswith(b" 3:1"), batches

# COPY to a folder that is not there says TRYCREATE; EXPUNGE removes what is \Deleted and renumbers.
status, data = imap.copy("1", "Nowhere")
assert status == "NO" and b"TRYCREATE" in data[0], data
good(imap.copy("1:2", "Archive"))
assert good(imap.expunge()) == [b"3"]
assert good(imap.search(None, "ALL")) == [b"1 2"]
good(imap.close())

# A folder opened read-only does not change, and UIDNEXT does not go back after EXPUNGE.
good(imap.select("Work", readonly=True))
assert imap.is_readonly
imap.store("1", "+FLAGS", "(\\Deleted)")
assert good(imap.search(None, "DELETED")) == [b""]
assert b"UIDNEXT 4" in good(imap.status("Work", "(UIDNEXT MESSAGES)"))[0]
good(imap.unselect())
good(imap.rename("Work", "Play"))
good(imap.delete("Play"))
assert imap.logout()[0] == "BYE"
