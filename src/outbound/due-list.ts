/** Things with the moment at which each is due, the earliest first: a binary heap. */

interface Entry<T> {
  readonly at: number;
  readonly item: T;
}

export class DueList<T> {
  readonly #heap: Entry<T>[] = [];

  /** Milliseconds since 1970 of the earliest; infinity when there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  add(item: T, at: number): void {
    const heap = this.#heap;
    let hole = heap.length;
    const entry = { at, item };
    heap.push(entry);
    while (hole > 0) {
      const parent = (hole - 1) >>> 1;
      if (heap[parent]!.at <= at) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = entry;
  }

  /** The earliest, when it is due. */
  take(now: number): T | undefined {
    const heap = this.#heap;
    const [first] = heap;
    if (first === undefined || first.at > now) return undefined;
    const last = heap.pop()!;
    if (heap.length > 0) this.#sink(last);
    return first.item;
  }

  #sink(entry: Entry<T>): void {
    const heap = this.#heap;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= entry.at) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = entry;
  }
}
