/** How many connections each client address has. */
import { isIPv6 } from 'node:net';
import { RefusedError } from '../errors.ts';

export class ClientCounter {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws RefusedError 'too-many'; otherwise call `leave` once when the connection ends. */
  enter(address: string): void {
    const client = clientOf(address);
    const count = this.#counts.get(client) ?? 0;
    if (count >= this.#limit) throw new RefusedError('too-many', 'Too many connections from your address');
    this.#counts.set(client, count + 1);
  }

  leave(address: string): void {
    const client = clientOf(address);
    const count = this.#counts.get(client) ?? 0;
    if (count <= 1) this.#counts.delete(client);
    else this.#counts.set(client, count - 1);
  }
}

/** An IPv6 client has a /64 to itself: counting single addresses would not count him. Addresses come normalized. */
function clientOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = '', tail] = address.split('%', 1)[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill('0'), ...right].slice(0, 4).join(':');
}
