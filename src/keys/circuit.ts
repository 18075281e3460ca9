/**
 * Whether a service that is not needed may be asked now. After a failure it is left alone for a while; then one call
 * tries, and the others still do without. So a service that hangs costs one deadline for each pause, not one for each
 * call.
 */
export interface CircuitOptions {
  readonly pauseMs: number;
  /** Milliseconds that only grow. */
  readonly now: () => number;
  /** Told of changes only; `reason` is that of the failure, null when it works again. */
  readonly onChange: (reason: string | null) => void;
}

export class Circuit {
  readonly #options: CircuitOptions;
  #isBroken = false;
  #isTrying = false;
  #pausedUntil = 0;

  constructor(options: CircuitOptions) {
    this.#options = options;
  }

  /** What the last call that ended says. */
  get isBroken(): boolean {
    return this.#isBroken;
  }

  get mayTry(): boolean {
    return !this.#isBroken || (!this.#isTrying && this.#options.now() >= this.#pausedUntil);
  }

  /** Every call that begins is to end as succeeded, failed or undecided. */
  begin(): void {
    this.#isTrying = true;
  }

  /** The call ended in a way that says nothing of this service. */
  undecided(): void {
    this.#isTrying = false;
  }

  succeeded(): void {
    this.#isTrying = false;
    if (!this.#isBroken) return;
    this.#isBroken = false;
    this.#options.onChange(null);
  }

  failed(reason: string): void {
    this.#isTrying = false;
    this.#pausedUntil = this.#options.now() + this.#options.pauseMs;
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#options.onChange(reason);
  }
}
