/**
 * Which servers take mail for a domain, as the DNS says: MX, else the domain's own addresses. RFC 5321 §5.1; RFC 7505 for
 * domains that take none. Nothing of it is believed beyond where to connect: answers are not authenticated.
 */
import { Resolver } from 'node:dns/promises';
import { MAIL_EXCHANGES } from '../limits.ts';

export interface MailExchange {
  /** In A-labels, lower case, without a dot at its end. */
  readonly name: string;
  /** The lower is asked first. */
  readonly preference: number;
}

/** `absent`: the DNS says for good that there is nothing. `unknown`: it could not be asked. */
export type Answer<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'absent'; readonly isDomainThere: boolean }
  | { readonly kind: 'unknown' };

export interface MailResolverOptions {
  /** Addresses, `address` or `address:port`; none: the system's. */
  readonly servers: readonly string[];
  /** Of one question to one server; each is asked twice. */
  readonly timeoutMs: number;
}

const TRIES = 2;

export class MailResolver {
  readonly #resolver: Resolver;

  constructor({ servers, timeoutMs }: MailResolverOptions) {
    this.#resolver = new Resolver({ timeout: timeoutMs, tries: TRIES });
    if (servers.length > 0) this.#resolver.setServers(servers);
  }

  /** The domain's MX records; 'absent' when it has none. */
  async exchanges(domain: string): Promise<Answer<readonly MailExchange[]>> {
    const answer = await asked(() => this.#resolver.resolveMx(domain));
    if (answer.kind !== 'found') return answer;
    const exchanges = answer.value
      .map(({ exchange, priority }) => ({
        name: exchange.toLowerCase().replace(/\.$/, ''),
        preference: priority,
      }))
      .sort((a, b) => a.preference - b.preference)
      .slice(0, MAIL_EXCHANGES);
    return { kind: 'found', value: exchanges };
  }

  /** IPv6 addresses, then IPv4. */
  async addresses(host: string): Promise<Answer<readonly string[]>> {
    const answers = await Promise.all([
      asked(() => this.#resolver.resolve6(host)),
      asked(() => this.#resolver.resolve4(host)),
    ]);
    const found = answers.flatMap((answer) => (answer.kind === 'found' ? answer.value : []));
    if (found.length > 0) return { kind: 'found', value: found };
    return answers.find(({ kind }) => kind === 'unknown') ?? answers[0]!;
  }

  /** TXT records, the strings of each put together. */
  async texts(name: string): Promise<Answer<readonly string[]>> {
    const answer = await asked(() => this.#resolver.resolveTxt(name));
    return answer.kind === 'found'
      ? { kind: 'found', value: answer.value.map((parts) => parts.join('')) }
      : answer;
  }

  /** Ends questions that are under way: they count as not answered. */
  cancel(): void {
    this.#resolver.cancel();
  }
}

async function asked<T>(question: () => Promise<T[]>): Promise<Answer<T[]>> {
  try {
    const value = await question();
    return value.length > 0 ? { kind: 'found', value } : { kind: 'absent', isDomainThere: true };
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOTFOUND':
        return { kind: 'absent', isDomainThere: false };
      case 'ENODATA':
        return { kind: 'absent', isDomainThere: true };
      default:
        // SERVFAIL, a timeout, an answer that cannot be read: RFC 5321 §5.1 has the mail queued.
        return { kind: 'unknown' };
    }
  }
}
