/** The boundaries of the multiparts that are open, and which of them a line begins with. RFC 2046 §5.1.1. */
import { BOUNDARY_OCTETS } from '../limits.ts';

interface Boundary {
  /** With the two hyphens before it. */
  readonly octets: Buffer;
  /** Position of the multipart in the reader's stack of open entities. */
  readonly depth: number;
}

/** A line that ends a part. */
export interface BoundaryLine {
  readonly boundary: Boundary;
  /** Whether it ends the multipart too. */
  readonly isClosing: boolean;
  /** Octets of hyphens and boundary; white space or anything else may follow on the line. */
  readonly length: number;
}

const HYPHEN = 45;

/** A line can be told to be a boundary or none when this much of it, or its end, is there. */
export const DECIDING_OCTETS = BOUNDARY_OCTETS + 4;

export class BoundaryStack {
  /** From the outermost multipart inwards. */
  readonly #boundaries: Boundary[] = [];

  get isEmpty(): boolean {
    return this.#boundaries.length === 0;
  }

  /** Adds the boundary of a multipart; one that is empty or too long is not taken. */
  push(boundary: string, depth: number): void {
    if (boundary === '' || boundary.length > BOUNDARY_OCTETS) return;
    this.#boundaries.push({ octets: Buffer.from(`--${boundary}`, 'latin1'), depth });
  }

  /** No boundary is looked for any more. */
  clear(): void {
    this.#boundaries.length = 0;
  }

  /** Forgets the boundaries inside the one that was met, and that one too when it closed its multipart. */
  pass({ boundary, isClosing }: BoundaryLine): void {
    this.#boundaries.length = this.#boundaries.indexOf(boundary) + (isClosing ? 0 : 1);
  }

  /**
   * What the line octets [start, end) begins with, or null. Only its beginning need match; of several open boundaries the
   * longest is meant, and of equal ones the innermost.
   */
  match(octets: Buffer, start: number, end: number): BoundaryLine | null {
    let best: Boundary | null = null;
    for (let index = this.#boundaries.length - 1; index >= 0; index--) {
      const boundary = this.#boundaries[index]!;
      if (best !== null && boundary.octets.length <= best.octets.length) continue;
      if (boundary.octets.length <= end - start && beginsWith(octets, start, boundary.octets))
        best = boundary;
    }
    if (best === null) return null;
    const after = start + best.octets.length;
    const isClosing = after + 2 <= end && octets[after] === HYPHEN && octets[after + 1] === HYPHEN;
    return { boundary: best, isClosing, length: best.octets.length + (isClosing ? 2 : 0) };
  }
}

function beginsWith(octets: Buffer, start: number, prefix: Buffer): boolean {
  for (let index = 0; index < prefix.length; index++) {
    if (octets[start + index] !== prefix[index]) return false;
  }
  return true;
}
