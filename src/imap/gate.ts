/** A place where a connection waits for its socket, with a deadline. */
import { ConnectionEnd } from './session/connection-end.ts';

export class Gate {
  #pending: PromiseWithResolvers<void> | null = null;
  #timer: NodeJS.Timeout | null = null;

  /**
   * Waits until open() or fail(). Those who wait at the same time wait together, until the first one's deadline.
   * @param bye What the ConnectionEnd that ends a wait of `ms` milliseconds says.
   */
  wait(ms: number, bye: string | null): Promise<void> {
    if (this.#pending === null) {
      this.#pending = Promise.withResolvers();
      this.#timer = setTimeout(() => this.fail(new ConnectionEnd(bye)), Math.max(ms, 0));
    }
    return this.#pending.promise;
  }

  open(): void {
    this.#take()?.resolve();
  }

  fail(error: Error): void {
    this.#take()?.reject(error);
  }

  #take(): PromiseWithResolvers<void> | null {
    const pending = this.#pending;
    this.#pending = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    return pending;
  }
}
