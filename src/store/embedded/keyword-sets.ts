/**
 * Sets of keyword numbers, interned: a message of an open folder holds the number of its set, not the set. In the
 * index a set is the text of its numbers, ascending, joined by commas; NULL when empty.
 */
export class KeywordSets {
  readonly #sets: (readonly number[])[] = [[]];
  readonly #ids = new Map<string, number>([['', 0]]);

  /** @param text As in the index; null and '' are the empty set, which is 0. */
  idOf(text: string | null): number {
    const key = text ?? '';
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#sets.push(key.split(',').map(Number));
    this.#ids.set(key, this.#sets.length - 1);
    return this.#sets.length - 1;
  }

  numbers(id: number): readonly number[] {
    return this.#sets[id] ?? [];
  }
}

export function keywordText(numbers: Iterable<number>): string | null {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  return sorted.length === 0 ? null : sorted.join(',');
}

export function keywordNumbers(text: string | null): number[] {
  return text === null || text === '' ? [] : text.split(',').map(Number);
}

/** What a set of keywords becomes: the same for system flags stands in `changedFlags`. */
export function changedKeywords(
  text: string | null,
  operation: 'replace' | 'add' | 'remove',
  numbers: readonly number[],
): string | null {
  if (operation === 'replace') return keywordText(numbers);
  const current = keywordNumbers(text);
  if (operation === 'add') return keywordText([...current, ...numbers]);
  return keywordText(current.filter((number) => !numbers.includes(number)));
}

export function changedFlags(flags: number, operation: 'replace' | 'add' | 'remove', change: number): number {
  switch (operation) {
    case 'replace':
      return change;
    case 'add':
      return flags | change;
    case 'remove':
      return flags & ~change;
  }
}
