/** Thrown where a connection waits, when there is nothing to wait for any more. */
export class ConnectionEnd extends Error {
  /** What to say before closing (`* BYE ...`), or null when nobody listens. */
  readonly bye: string | null;

  constructor(bye: string | null, cause?: unknown) {
    super(bye ?? 'the connection is gone', cause === undefined ? undefined : { cause });
    this.name = 'ConnectionEnd';
    this.bye = bye;
  }
}
