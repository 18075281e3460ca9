/** What was sent by SMTP and LMTP, to whom, and what of it the server has acknowledged. */

interface Delivery {
  readonly recipients: readonly string[];
  readonly message: string;
  isAcknowledged: boolean;
}

export class Deliveries {
  readonly #byToken = new Map<string, Delivery>();

  get acknowledged(): number {
    return [...this.#byToken.values()].filter(({ isAcknowledged }) => isAcknowledged).length;
  }

  /** @param recipients Addresses of users; a group's members. */
  begin(token: string, recipients: readonly string[], message: string): void {
    this.#byToken.set(token, { recipients, message, isAcknowledged: false });
  }

  acknowledge(token: string): void {
    this.#byToken.get(token)!.isAcknowledged = true;
  }

  mayHave(token: string, address: string): boolean {
    return this.#byToken.get(token)?.recipients.includes(address) ?? false;
  }

  messageOf(token: string): string | undefined {
    return this.#byToken.get(token)?.message;
  }

  /**
   * What was acknowledged is with every recipient, and what was not with all or none.
   * @param hasArrived Whether a user's mailbox has, or had, the message; null when that is not known now.
   * @throws Error that says what broke.
   */
  check(hasArrived: (address: string, token: string) => boolean | null): void {
    for (const [token, { recipients, isAcknowledged }] of this.#byToken) {
      const known = recipients.map((address) => hasArrived(address, token)).filter((has) => has !== null);
      const arrived = known.filter(Boolean).length;
      if (isAcknowledged && arrived < known.length) {
        throw new Error(`${token} was acknowledged and is with ${arrived} of ${known.length} recipients`);
      }
      if (arrived > 0 && arrived < known.length) {
        throw new Error(`${token} was not acknowledged and is with ${arrived} of ${known.length} recipients`);
      }
    }
  }
}
