/** Logins of all protocols, counted by how they ended. */
import { reasonOf, Tally } from '../tally.ts';
import type { AuthenticatedUser, Authenticator } from './authenticator.ts';

export class Logins {
  readonly #authenticator: Authenticator;
  /** `<protocol> <outcome>`: outcome is `ok` or an error's code. */
  readonly outcomes = new Tally();

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator;
  }

  /** @throws as Authenticator.authenticate does. */
  async authenticate(
    protocol: 'imap' | 'smtp',
    username: string,
    password: string,
    remoteAddress: string,
  ): Promise<AuthenticatedUser> {
    try {
      const user = await this.#authenticator.authenticate(username, password, remoteAddress);
      this.outcomes.add(`${protocol} ok`);
      return user;
    } catch (error) {
      this.outcomes.add(`${protocol} ${reasonOf(error)}`);
      throw error;
    }
  }
}
