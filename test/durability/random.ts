/** Choices that a seed repeats. (What the seed cannot repeat is where in its work the server is when it is killed.) */

export interface Random {
  /** At least `from`, below `to`. */
  integer(from: number, to: number): number;
  chance(probability: number): boolean;
  /** One element; the array is not empty. */
  pick<T>(from: readonly T[]): T;
  /** Between one and `most` different elements, in their order; the array is not empty. */
  some<T>(from: readonly T[], most: number): T[];
  /** Text of printable octets without CR, LF and leading dots, in lines. */
  lines(octets: number): string;
}

/** mulberry32: 32 bits of state, good enough for choices. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (from: number, to: number): number => from + Math.floor(next() * (to - from));
  return {
    integer,
    chance: (probability) => next() < probability,
    pick: (from) => from[integer(0, from.length)]!,
    some(from, most) {
      const share = Math.min(from.length, integer(1, most + 1)) / from.length;
      const chosen = from.filter(() => next() < share).slice(0, most);
      return chosen.length > 0 ? chosen : [from[integer(0, from.length)]!];
    },
    lines(octets) {
      let text = '';
      while (text.length < octets) {
        for (let column = 0; column < 72; column += 4) text += integer(36 ** 3, 36 ** 4).toString(36);
        text += '\r\n';
      }
      return text;
    },
  };
}
