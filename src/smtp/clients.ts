/** How many connections each client has: an IPv6 client by its /64, since counting single addresses would not count him. */
import { RefusedError } from '../errors.ts';
import { networkOf } from '../networks.ts';

export class ClientCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws RefusedError 'too-many'; otherwise call `leave` once when the connection ends. */
  enter(address: string): void {
    const client = networkOf(address);
    const count = this.#counts.get(client) ?? 0;
    if (count >= this.#limit) throw new RefusedError('too-many', 'Too many connections from your address');
    this.#counts.set(client, count + 1);
  }

  leave(address: string): void {
    const client = networkOf(address);
    const count = this.#counts.get(client) ?? 0;
    if (count <= 1) this.#counts.delete(client);
    else this.#counts.set(client, count - 1);
  }
}
