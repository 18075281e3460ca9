/** Keeps the beginning of the text that a preview is made of, while the message streams by. */
import { PREVIEW_SOURCE_OCTETS } from '../limits.ts';
import type { Entity } from './entity.ts';

export interface TextSample {
  readonly entity: Entity;
  /** At most PREVIEW_SOURCE_OCTETS of its body. */
  readonly octets: Buffer;
}

export class TextSampler {
  #entity: Entity | null = null;
  #rank = 0;
  #chunks: Buffer[] = [];
  #length = 0;
  #isOpen = false;

  /**
   * A text part begins: takes it if it is better than what it has. The first text/plain part, else the first text/html
   * one; those of embedded messages only when there is no other, attachments never.
   * @param type Lower case.
   */
  begin(entity: Entity, type: string, isEmbedded: boolean): void {
    if (type !== 'text/plain' && type !== 'text/html') return;
    if (entity.content.disposition?.type.toLowerCase() === 'attachment') return;
    const rank = 1 + (isEmbedded ? 0 : 2) + (type === 'text/plain' ? 1 : 0);
    if (rank <= this.#rank) return;
    this.#entity = entity;
    this.#rank = rank;
    this.#chunks = [];
    this.#length = 0;
    this.#isOpen = true;
  }

  /** Octets [from, to) follow, of whatever part is being read. They are copied if they are wanted. */
  push(octets: Buffer, from: number, to: number): void {
    if (!this.#isOpen) return;
    const taken = Math.min(to - from, PREVIEW_SOURCE_OCTETS - this.#length);
    this.#chunks.push(Buffer.from(octets.subarray(from, from + taken)));
    this.#length += taken;
    this.#isOpen = this.#length < PREVIEW_SOURCE_OCTETS;
  }

  /** The part that began last has ended. */
  end(): void {
    this.#isOpen = false;
  }

  /** The best that was there. Call when the ends of all entities are known. */
  sample(): TextSample | null {
    if (this.#entity === null) return null;
    const { bodyStart, end } = this.#entity;
    return { entity: this.#entity, octets: Buffer.concat(this.#chunks).subarray(0, end - bodyStart) };
  }
}
