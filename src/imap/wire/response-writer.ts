/**
 * Collects responses for one write: wire text is joined, large octets are kept by reference, so that a FETCH of many
 * messages costs a few buffers and no copy of message text.
 */

/** Octets up to this size are copied into the text around them: a copy is cheaper than one more buffer in the write. */
const COPIED_OCTETS = 2_048;

export class ResponseWriter {
  #buffers: Buffer[] = [];
  #text = '';
  #bufferOctets = 0;

  /** Wire text (latin1, one character an octet), line ends included. */
  text(wire: string): this {
    this.#text += wire;
    return this;
  }

  /** `{n}` and the octets as they are: NUL is not touched, since message octets go out as they came in. */
  literal(octets: Uint8Array): this {
    return this.text(`{${octets.length}}\r\n`).octets(octets);
  }

  /** Octets of a literal whose size was announced with text(). They must not change until the write is done. */
  octets(octets: Uint8Array): this {
    const buffer = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
    if (buffer.length <= COPIED_OCTETS) {
      this.#text += buffer.toString('latin1');
      return this;
    }
    this.#flushText();
    this.#buffers.push(buffer);
    this.#bufferOctets += buffer.length;
    return this;
  }

  /** Octets collected and not taken yet. */
  get sizeOctets(): number {
    return this.#bufferOctets + this.#text.length;
  }

  /** What was collected, in order. The writer is empty afterwards, and the buffers are the caller's. */
  take(): Buffer[] {
    this.#flushText();
    const buffers = this.#buffers;
    this.#buffers = [];
    this.#bufferOctets = 0;
    return buffers;
  }

  #flushText(): void {
    if (this.#text === '') return;
    this.#buffers.push(Buffer.from(this.#text, 'latin1'));
    this.#bufferOctets += this.#text.length;
    this.#text = '';
  }
}
