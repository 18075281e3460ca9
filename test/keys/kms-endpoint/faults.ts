/** What goes wrong on purpose, in place of an answer or before it. */
import type { KmsErrorType } from './kms-error.ts';

export type Fault =
  /** KMS answers with this error. */
  | { readonly kind: 'error'; readonly type: KmsErrorType }
  /** A load balancer answers, in HTML and without a request id. */
  | { readonly kind: 'status'; readonly status: number }
  /** The answer comes, so much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** No answer comes, and the connection stays. */
  | { readonly kind: 'hang' }
  /** The header of the answer comes, and a part of its body, and no more. */
  | { readonly kind: 'stall' }
  /** RST before the answer. */
  | { readonly kind: 'reset' }
  /** 200 with the first part of the right answer: the connection between is at fault. */
  | { readonly kind: 'cut' };

/** Faults by turns: those of a number of requests first, then the standing one. */
export class Faults {
  #next: Fault[] = [];
  /** Of every request that no other is for. */
  standing: Fault | null = null;

  /** The next requests, one each. */
  next(...faults: readonly Fault[]): void {
    this.#next.push(...faults);
  }

  clear(): void {
    this.#next = [];
    this.standing = null;
  }

  take(): Fault | null {
    return this.#next.shift() ?? this.standing;
  }
}
