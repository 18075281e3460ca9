/**
 * A cursor over the value of a structured field: the tokens that RFC 5322 §3.2 and RFC 2045 §5.1 share. Values are
 * unfolded latin1 text (header.ts). Nothing throws: each method takes what it can and says what it got.
 */

export class StructuredField {
  readonly text: string;
  position = 0;
  /** The text of the last comment passed, quoted-pairs undone; some senders put the display name there. */
  comment = '';

  constructor(text: string) {
    this.text = text;
  }

  get isAtEnd(): boolean {
    return this.position >= this.text.length;
  }

  /** The character at the cursor, '' at the end. */
  get next(): string {
    return this.text.charAt(this.position);
  }

  /** Takes `character` if it is next. */
  take(character: string): boolean {
    if (this.text.charAt(this.position) !== character) return false;
    this.position++;
    return true;
  }

  /** Passes white space and comments (CFWS). A comment without its end reaches to the end of the value. */
  skipSpace(): void {
    for (;;) {
      const character = this.next;
      if (character === ' ' || character === '\t' || character === '\r' || character === '\n')
        this.position++;
      else if (character === '(') this.#skipComment();
      else return;
    }
  }

  /** Characters for which `accepts` has 1, from the cursor on; '' when the first is none. */
  run(accepts: Uint8Array): string {
    const start = this.position;
    while (accepts[this.text.charCodeAt(this.position)] === 1) this.position++;
    return this.text.slice(start, this.position);
  }

  /** The content of the quoted-string at the cursor, quoted-pairs undone; one without its end reaches to the end. */
  quotedString(): string {
    let content = '';
    let from = ++this.position;
    for (; this.position < this.text.length; this.position++) {
      const character = this.next;
      if (character === '"') break;
      if (character === '\\') {
        content += this.text.slice(from, this.position);
        from = ++this.position;
      }
    }
    content += this.text.slice(from, this.position);
    this.position++;
    return content;
  }

  /** Moves to the next of `stops` outside quoted-strings and comments, or to the end: recovery after what makes no sense. */
  skipTo(stops: string): void {
    while (!this.isAtEnd && !stops.includes(this.next)) {
      if (this.next === '"') this.quotedString();
      else if (this.next === '(') this.#skipComment();
      else this.position++;
    }
  }

  /** Comments nest (RFC 5322 §3.2.2); counting them keeps their depth off the stack. */
  #skipComment(): void {
    let content = '';
    let depth = 0;
    let from = this.position + 1;
    for (; this.position < this.text.length; this.position++) {
      const character = this.next;
      if (character === '(') depth++;
      else if (character === ')' && --depth === 0) break;
      else if (character === '\\') {
        content += this.text.slice(from, this.position);
        from = ++this.position;
      }
    }
    this.comment = content + this.text.slice(from, this.position);
    this.position++;
  }
}

/** A table for `run`: printable ASCII and octets above 127, but not those in `excluded`. */
export function charactersBut(excluded: string): Uint8Array {
  const accepts = new Uint8Array(256).fill(1, 33).fill(0, 127, 128);
  for (const character of excluded) accepts[character.charCodeAt(0)] = 0;
  return accepts;
}
