/**
 * The terminals of the grammar, read off a framed command by a cursor. RFC 9051 §9 and §4.
 *
 * Text is looked at as latin1 (one character an octet). Strings keep their octets; whoever knows what a string means
 * decodes it (strings.ts). Where Dovecot tolerates what real clients send, so does this: more than one
 * space between arguments, spaces before the line's end and inside parentheses, 8-bit octets in quoted strings.
 */
import { IMAP_LIST_ITEMS } from '../../limits.ts';
import type { Literal } from './ast.ts';
import { CommandError, type CommandErrorCode } from './command-error.ts';
import { trailingLiteral } from './literal-marker.ts';
import type { FramedCommand } from './reader.ts';
import { parseSequenceSet, SAVED_RESULT, type SequenceSet } from './sequence-set.ts';
import { decodeUtf8 } from './utf8.ts';

// Classes of octets, one bit each. RFC 9051 §9: atom-specials, resp-specials, list-wildcards.
const ATOM = 1;
const ASTRING = 2;
const LIST = 4;
const DIGIT = 8;
const SEQUENCE = 16;
const NAME = 32;

const CLASSES = new Uint8Array(256);
for (let octet = 0x21; octet < 0x7f; octet += 1) {
  const character = String.fromCharCode(octet);
  let classes = 0;
  if (!'(){%*"\\]'.includes(character)) classes |= ATOM;
  // resp-specials may stand in an astring, and list-wildcards in the pattern of LIST.
  if (!'(){%*"\\'.includes(character)) classes |= ASTRING;
  if (!'(){"\\'.includes(character)) classes |= LIST;
  if (character >= '0' && character <= '9') classes |= DIGIT | SEQUENCE;
  if (':,*$'.includes(character)) classes |= SEQUENCE;
  if (/[A-Za-z0-9.-]/.test(character)) classes |= NAME;
  CLASSES[octet] = classes;
}

const CR = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x28;
const CLOSE = 0x29;
const BRACE = 0x7b;
const TILDE = 0x7e;

/** RFC 9051 §9 `number64`: 63 bits. */
const MAX_NUMBER64 = 2 ** 63;
const MAX_NUMBER32 = 0xffff_ffff;

export class Cursor {
  /** Set once the tag is read, so that every later error carries it. */
  tag: string | null = null;
  readonly #command: FramedCommand;
  readonly #isUtf8: boolean;
  #index = 0;
  #line: string;
  #at = 0;

  /** @param isUtf8 Quoted strings hold UTF-8, and nothing else of 8 bits (RFC 9755 §3). */
  constructor(command: FramedCommand, isUtf8: boolean) {
    this.#command = command;
    this.#isUtf8 = isUtf8;
    this.#line = command.lines[0] ?? '';
  }

  fail(sentence: string, code?: CommandErrorCode): never {
    throw new CommandError(this.tag, sentence, code);
  }

  /** Whether nothing but spaces follows. */
  get isAtEnd(): boolean {
    this.skipSpaces();
    return this.#at >= this.#line.length && this.#index === this.#command.lines.length - 1;
  }

  /** @throws CommandError when anything but spaces follows. */
  end(): void {
    if (!this.isAtEnd) this.fail('Unexpected text after the arguments');
  }

  /** At least one space, as between arguments. */
  space(): void {
    if (this.#line.charCodeAt(this.#at) !== SPACE) {
      this.fail(this.#at >= this.#line.length ? 'An argument is missing' : 'A space is missing');
    }
    this.skipSpaces();
  }

  /** Steps to a further argument, when there is one. @throws CommandError when no space stands before it. */
  another(): boolean {
    const at = this.#at;
    if (this.isAtEnd) return false;
    this.#at = at;
    this.space();
    return true;
  }

  skipSpaces(): void {
    while (this.#line.charCodeAt(this.#at) === SPACE) this.#at += 1;
  }

  /** Steps over octets that were looked at otherwise: the tag. */
  advance(octets: number): void {
    this.#at += octets;
  }

  /** The octet at the cursor as a character, '' at the end of a line. */
  peek(): string {
    return this.#line.charAt(this.#at);
  }

  /** Consumes `text` (one character, or a longer piece compared without regard to case) when it is next. */
  take(text: string): boolean {
    if (text.length === 1) {
      if (this.#line.charAt(this.#at) !== text) return false;
    } else if (this.#line.slice(this.#at, this.#at + text.length).toUpperCase() !== text) {
      return false;
    }
    this.#at += text.length;
    return true;
  }

  expect(text: string): void {
    if (!this.take(text)) this.fail(`"${text}" is expected`);
  }

  /** 1*ATOM-CHAR, in the case sent. */
  atom(what: string): string {
    return this.#run(ATOM) ?? this.fail(`${what} is expected`);
  }

  /** An atom in upper case: names of commands, items, keys. */
  keyword(what: string): string {
    return this.atom(what).toUpperCase();
  }

  /** Letters, digits, "." and "-" in upper case: names that "[" may follow, which an atom would swallow. */
  itemName(what: string): string {
    return (this.#run(NAME) ?? this.fail(`${what} is expected`)).toUpperCase();
  }

  /** The keyword at the cursor, not consumed; '' when there is none. */
  peekKeyword(): string {
    const at = this.#at;
    const word = this.#run(ATOM);
    this.#at = at;
    return word === null ? '' : word.toUpperCase();
  }

  /** 1*<anything but spaces and parentheses>: what a flag, a tag or a base64 text is checked from. */
  word(what: string): string {
    const start = this.#at;
    let at = start;
    for (let c = this.#line.charCodeAt(at); c > SPACE && c < 0x7f && c !== OPEN && c !== CLOSE; ) {
      at += 1;
      c = this.#line.charCodeAt(at);
    }
    if (at === start) this.fail(`${what} is expected`);
    this.#at = at;
    return this.#line.slice(start, at);
  }

  /** RFC 9051 §9 `number` (32 bits). */
  number(what: string): number {
    return this.#number(what, MAX_NUMBER32);
  }

  /** `nz-number`. */
  nonZero(what: string): number {
    const value = this.#number(what, MAX_NUMBER32);
    return value === 0 ? this.fail(`${what} must not be zero`) : value;
  }

  /**
   * `number64`. What is beyond exact counting becomes Number.MAX_SAFE_INTEGER: no size, offset or modseq of ours is as
   * large, so it compares with all of them as what was sent would.
   */
  number64(what: string): number {
    return Math.min(this.#number(what, MAX_NUMBER64), Number.MAX_SAFE_INTEGER);
  }

  sequenceSet(what = 'A message set'): SequenceSet {
    const text = this.#run(SEQUENCE) ?? this.fail(`${what} is expected`);
    return parseSequenceSet(text) ?? this.fail('The message set is not valid');
  }

  /** The same where `$` may stand too: what the last SEARCH saved (RFC 5182 §2.1). */
  messageSet(what?: string): SequenceSet {
    return this.take('$') ? SAVED_RESULT : this.sequenceSet(what);
  }

  /** `astring`: its octets as latin1. */
  astring(what: string): string {
    return this.#stringOr(ASTRING, what);
  }

  /** `list-mailbox`: an astring that may hold wildcards. */
  listMailbox(what: string): string {
    return this.#stringOr(LIST, what);
  }

  /** `string`: quoted or literal. */
  string(what: string): string {
    const c = this.#line.charCodeAt(this.#at);
    if (c === QUOTE) return this.#quoted();
    if (c === BRACE) return this.#literalText();
    return this.fail(`${what} is expected as a string`);
  }

  /** `nstring`: a string, or null for NIL. */
  nstring(what: string): string | null {
    const c = this.#line.charCodeAt(this.#at);
    if (c === QUOTE || c === BRACE) return this.string(what);
    if (this.keyword(what) !== 'NIL') this.fail(`${what} is expected as a string or NIL`);
    return null;
  }

  /** A literal as the reader delivered it. */
  literal(what: string): Literal {
    if (this.#line.charCodeAt(this.#at) === TILDE) this.fail('Binary literals are not supported');
    const literal = this.#command.literals[this.#index];
    if (literal === undefined || !this.isAtLiteral) this.fail(`${what} is expected as a literal`);
    this.#index += 1;
    this.#line = this.#command.lines[this.#index]!;
    this.#at = 0;
    return literal;
  }

  /** Whether the rest of the line is a literal's marker. */
  get isAtLiteral(): boolean {
    return (
      this.#line.charCodeAt(this.#at) === BRACE &&
      this.#line.indexOf('}', this.#at) === this.#line.length - 1 &&
      trailingLiteral(this.#line) !== null
    );
  }

  /** Whether the rest of a command's prefix is the marker of the literal that is still to come. */
  get isAtAnnouncedLiteral(): boolean {
    return this.#index === this.#command.literals.length && this.isAtLiteral;
  }

  /** `(item item ...)`, empty too; `item` is called at each one. Bounded by IMAP_LIST_ITEMS. */
  list<T>(what: string, item: () => T): T[] {
    if (this.#line.charCodeAt(this.#at) !== OPEN) this.fail(`${what} are expected in parentheses`);
    this.#at += 1;
    const items: T[] = [];
    this.skipSpaces();
    while (this.#line.charCodeAt(this.#at) !== CLOSE) {
      if (items.length >= IMAP_LIST_ITEMS) this.fail('Too many items in parentheses', 'too-many');
      items.push(item());
      if (this.#line.charCodeAt(this.#at) !== CLOSE) this.space();
    }
    this.#at += 1;
    return items;
  }

  #run(classes: number): string | null {
    const line = this.#line;
    const start = this.#at;
    let at = start;
    while (at < line.length && (CLASSES[line.charCodeAt(at)]! & classes) !== 0) at += 1;
    if (at === start) return null;
    this.#at = at;
    return line.slice(start, at);
  }

  #number(what: string, limit: number): number {
    const digits = this.#run(DIGIT) ?? this.fail(`${what} is expected as a number`);
    const value = Number(digits);
    return value > limit ? this.fail(`${what} is too large`) : value;
  }

  #stringOr(classes: number, what: string): string {
    const c = this.#line.charCodeAt(this.#at);
    if (c === QUOTE) return this.#quoted();
    if (c === BRACE) return this.#literalText();
    return this.#run(classes) ?? this.fail(`${what} is expected`);
  }

  #quoted(): string {
    const line = this.#line;
    const start = this.#at + 1;
    let at = start;
    let isEscaped = false;
    for (; ; at += 1) {
      const c = line.charCodeAt(at);
      if (at >= line.length) this.fail('A quoted string does not end');
      if (c === QUOTE) break;
      if (c === 0 || c === CR) this.fail('A quoted string holds NUL or CR');
      if (c === BACKSLASH) {
        isEscaped = true;
        at += 1;
      }
    }
    this.#at = at + 1;
    const text = line.slice(start, at);
    if (this.#isUtf8 && decodeUtf8(text) === null) this.fail('A quoted string is not valid UTF-8');
    // Dovecot lets a backslash stand before any character; the grammar only before " and itself.
    return isEscaped ? text.replace(/\\([^\0\r])/g, '$1') : text;
  }

  #literalText(): string {
    const literal = this.literal('A string');
    if (literal.kind === 'streamed') return this.fail('Only a message may be this literal');
    // RFC 9051 §9: CHAR8 excludes NUL.
    if (literal.octets.includes(0)) this.fail('A literal holds NUL');
    return literal.octets.toString('latin1');
  }
}
