/** A strict reader of IMAP data (RFC 9051 §9): nested lists of strings, numbers and NIL, and the shapes of BODYSTRUCTURE. */
import assert from 'node:assert/strict';

export type ImapValue = string | number | null | ImapValue[];

/** The value that `text` is, whole. Fails on anything the grammar does not allow. */
export function readImapValue(text: string): ImapValue {
  const [value, rest] = readOne(text);
  assert.equal(rest, '', 'octets behind the value');
  return value;
}

function readOne(text: string): [ImapValue, string] {
  if (text.startsWith('(')) return readList(text.slice(1));
  const atom = /^(NIL|\d+)(?=[ )]|$)/.exec(text);
  if (atom !== null) return [atom[1] === 'NIL' ? null : Number(atom[1]), text.slice(atom[0].length)];
  const quoted = /^"((?:[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\["\\])*)"/.exec(text);
  if (quoted !== null) return [quoted[1]!.replace(/\\(.)/g, '$1'), text.slice(quoted[0].length)];
  const literal = /^\{(\d+)\}\r\n/.exec(text);
  assert.ok(literal !== null, `no value at ${JSON.stringify(text.slice(0, 40))}`);
  const start = literal[0].length;
  const content = text.slice(start, start + Number(literal[1]));
  assert.equal(content.length, Number(literal[1]));
  assert.ok(!content.includes('\0'), 'NUL in a literal');
  return [content, text.slice(start + content.length)];
}

/** Lists in lists follow one another without a space, as addresses and parts do; all else is parted by one. */
function readList(text: string): [ImapValue[], string] {
  const items: ImapValue[] = [];
  let rest = text;
  while (!rest.startsWith(')')) {
    if (items.length > 0 && rest.startsWith(' ')) rest = rest.slice(1);
    else assert.ok(items.length === 0 || (Array.isArray(items.at(-1)) && rest.startsWith('(')), 'no space');
    const [item, after] = readOne(rest);
    items.push(item);
    rest = after;
  }
  assert.ok(items.length > 0, 'an empty list');
  return [items, rest.slice(1)];
}

/** RFC 3501 §9 envelope. */
export function assertEnvelope(value: ImapValue | undefined): void {
  assert.ok(Array.isArray(value) && value.length === 10);
  for (const index of [0, 1, 8, 9]) assertNstring(value[index]);
  for (const addresses of value.slice(2, 8)) {
    if (addresses === null) continue;
    assert.ok(Array.isArray(addresses));
    for (const address of addresses) {
      assert.ok(Array.isArray(address) && address.length === 4);
      for (const part of address) assertNstring(part);
    }
  }
}

/** RFC 3501 §9 body, with body-ext-1part or body-ext-mpart when `isExtended`. */
export function assertBody(value: ImapValue | undefined, isExtended: boolean): void {
  assert.ok(Array.isArray(value));
  if (Array.isArray(value[0])) {
    const parts = value.findIndex((item) => !Array.isArray(item));
    for (const part of value.slice(0, parts)) assertBody(part, isExtended);
    assertString(value[parts]);
    assert.equal(value.length, parts + (isExtended ? 5 : 1));
    if (isExtended) {
      assertParameters(value[parts + 1]);
      assertCommonExtension(value.slice(parts + 2));
    }
    return;
  }
  assertString(value[0]);
  assertString(value[1]);
  assertParameters(value[2]);
  assertNstring(value[3]);
  assertNstring(value[4]);
  assertString(value[5]);
  assert.equal(typeof value[6], 'number');
  const type = `${value[0]}/${value[1]}`.toLowerCase();
  let next = 7;
  if (type === 'message/rfc822') {
    assertEnvelope(value[next++]);
    assertBody(value[next++], isExtended);
  }
  if (type === 'message/rfc822' || type.startsWith('text/')) assert.equal(typeof value[next++], 'number');
  assert.equal(value.length, next + (isExtended ? 4 : 0));
  if (isExtended) {
    assertNstring(value[next]);
    assertCommonExtension(value.slice(next + 1));
  }
}

function assertCommonExtension([disposition, language, location]: ImapValue[]): void {
  if (disposition !== null) {
    assert.ok(Array.isArray(disposition) && disposition.length === 2);
    assertString(disposition[0]);
    assertParameters(disposition[1]);
  }
  if (language !== null) {
    assert.ok(Array.isArray(language));
    for (const tag of language) assertString(tag);
  }
  assertNstring(location);
}

function assertParameters(value: ImapValue | undefined): void {
  if (value === null) return;
  assert.ok(Array.isArray(value) && value.length % 2 === 0);
  for (const item of value) assertString(item);
}

function assertNstring(value: ImapValue | undefined): void {
  if (value !== null) assertString(value);
}

function assertString(value: ImapValue | undefined): void {
  assert.equal(typeof value, 'string');
}
