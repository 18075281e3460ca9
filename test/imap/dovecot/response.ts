/** Reads a FETCH response of any server into values that can be compared: how strings are quoted does not matter. */

/** NIL, a string (quoted or literal, one character an octet), an atom or number, a list. */
export type Value = null | string | { readonly atom: string } | readonly Value[];

/**
 * @param response Untagged, without `* `, as RawImap gives it: `1 FETCH (...)`.
 * @returns The items by name, names in upper case.
 * @throws Error where it is no FETCH response.
 */
export function parseFetch(response: string): Map<string, Value> {
  const cursor = new Cursor(response, response.indexOf(' FETCH ') + 7);
  const items = new Map<string, Value>();
  cursor.take('(');
  while (cursor.next !== ')') {
    items.set(cursor.itemName().toUpperCase(), cursor.value());
    if (cursor.next === ' ') cursor.take(' ');
  }
  return items;
}

class Cursor {
  readonly #text: string;
  #at: number;

  constructor(text: string, at: number) {
    this.#text = text;
    this.#at = at;
  }

  get next(): string {
    return this.#text.charAt(this.#at);
  }

  take(character: string): void {
    if (this.next !== character)
      throw new Error(`not ${character} at ${this.#text.slice(this.#at, this.#at + 40)}`);
    this.#at++;
  }

  /** `BODY[HEADER.FIELDS (A B)]<0>` is one name. */
  itemName(): string {
    const match = /[A-Z0-9.]+(?:\[[^\]]*\](?:<\d+>)?)?/iy;
    match.lastIndex = this.#at;
    const name = match.exec(this.#text)?.[0] ?? '';
    this.#at += name.length;
    this.take(' ');
    return name;
  }

  value(): Value {
    if (this.next === '(') return this.#list();
    if (this.next === '"') return this.#quoted();
    if (this.next === '{') return this.#literal();
    const atom = this.#run(/[^() ]*/y);
    return atom.toUpperCase() === 'NIL' ? null : { atom };
  }

  #list(): Value[] {
    this.take('(');
    const list: Value[] = [];
    while (this.next !== ')') {
      list.push(this.value());
      if (this.next === ' ') this.take(' ');
    }
    this.take(')');
    return list;
  }

  #quoted(): string {
    const quoted = this.#run(/"(?:[^"\\]|\\[\s\S])*"/y);
    return quoted.slice(1, -1).replace(/\\([\s\S])/g, '$1');
  }

  #literal(): string {
    const marker = this.#run(/\{\d+\}\r\n/y);
    const size = Number(/\d+/.exec(marker)![0]);
    const octets = this.#text.slice(this.#at, this.#at + size);
    this.#at += size;
    return octets;
  }

  #run(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) throw new Error(`unreadable: ${this.#text.slice(this.#at, this.#at + 40)}`);
    this.#at += found.length;
    return found;
  }
}
