/**
 * Where mail for a domain is handed to: a static route of the configuration, a smarthost, or what the DNS says. RFC 5321
 * §5.1. Mail never goes to ourselves: whatever is ours was delivered before it came here.
 */
import { isIP } from 'node:net';
import type { OrganizationId } from '../ids.ts';
import { HOPS_PER_ATTEMPT } from '../limits.ts';
import { ownReply, type RemoteReply } from './reply.ts';
import type { MailExchange, MailResolver } from './resolver.ts';

/** `opportunistic`: TLS when it is offered, whatever the certificate (RFC 7435). The others fail without theirs. */
export type Security = 'opportunistic' | 'starttls' | 'tls' | 'none';

export interface Smarthost {
  readonly host: string;
  readonly port: number;
  readonly security: Security;
  readonly user: string | null;
  /** Read whenever a connection is made. Given exactly when `user` is. */
  readonly passwordFile: string | null;
  /** PEM, of who signed its certificate; null: those whom Node knows. Read whenever a connection is made. */
  readonly caFile: string | null;
}

export interface StaticRoute {
  /** `example.org`, `.example.org` for what is below it, or `*`. */
  readonly domain: string;
  readonly host: string;
  readonly port: number;
}

/** One address of one server. */
export interface Hop {
  /** As the route or the MX record has it: what a certificate would name. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly security: Security;
  readonly credentials: { readonly user: string; readonly passwordFile: string } | null;
  readonly caFile: string | null;
}

export type Route =
  | {
      readonly kind: 'hops';
      /** The same for mail that may share a connection. */
      readonly key: string;
      /** In the order in which they are tried; at least one. */
      readonly hops: readonly Hop[];
    }
  /** For good, or for now: the status says which. */
  | { readonly kind: 'none'; readonly reply: RemoteReply };

export interface RouterOptions {
  readonly resolver: Pick<MailResolver, 'exchanges' | 'addresses'>;
  readonly routes: readonly StaticRoute[];
  /** Of the organization, or of all; null: the DNS says where. */
  readonly smarthost: (organization: OrganizationId) => Smarthost | null;
  /** Where mail exchanges listen: 25. */
  readonly port: number;
  /** Our own name. */
  readonly hostname: string;
  /** Whether we listen there ourselves. */
  readonly isOurs: (address: string, port: number) => boolean;
  /** Whether an exchange may be there that the DNS or a sender names: else they make us speak with our own network. */
  readonly mayReach: (address: string) => boolean;
  /** Whether mail for the domain is delivered here. */
  readonly isLocal: (domain: string) => boolean;
}

export class Router {
  readonly #options: RouterOptions;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** @param domain In A-labels, or an address literal in its brackets. */
  async route(organization: OrganizationId, domain: string): Promise<Route> {
    const { routes, smarthost, isLocal } = this.#options;
    if (isLocal(domain)) return none('5.4.6', 'Mail for this domain is delivered by the server that has it');
    const fixed = routes.find((route) => covers(route.domain, domain));
    if (fixed !== undefined)
      return this.#next({
        ...fixed,
        security: 'opportunistic',
        user: null,
        passwordFile: null,
        caFile: null,
      });
    const relay = smarthost(organization);
    if (relay !== null) return this.#next(relay);
    return domain.startsWith('[') ? this.#literal(domain) : this.#exchanges(domain);
  }

  /** A host that was configured: it is not asked for its MX. */
  async #next({ host, port, security, user, passwordFile, caFile }: Smarthost): Promise<Route> {
    const credentials = user === null || passwordFile === null ? null : { user, passwordFile };
    const answer = isIP(host) > 0 ? [host] : await this.#addressesOf(host);
    if (answer === 'unknown' || answer === 'absent')
      return none('4.4.3', 'The next server cannot be found in the DNS', host);
    const hops = answer.map((address) => ({ name: host, address, port, security, credentials, caFile }));
    // Everything that a session is made with: one that is in clear, or is another's, is not for who asks for more.
    const key = JSON.stringify([host, port, security, user, passwordFile, caFile]);
    return { kind: 'hops', key, hops: hops.slice(0, HOPS_PER_ATTEMPT) };
  }

  /** RFC 5321 §4.1.3. */
  #literal(literal: string): Route {
    const address = literal.slice(1, -1).replace(/^IPv6:/i, '');
    if (isIP(address) === 0) return none('5.1.2', 'The address literal cannot be read');
    if (this.#options.isOurs(address, this.#options.port)) return loop();
    if (!this.#options.mayReach(address))
      return none('5.4.4', 'No mail is sent to addresses of this network');
    return { kind: 'hops', key: literal, hops: [this.#exchangeHop(address, address)] };
  }

  async #exchanges(domain: string): Promise<Route> {
    const answer = await this.#options.resolver.exchanges(domain);
    if (answer.kind === 'unknown') return none('4.4.3', 'The DNS does not answer for the domain');
    if (answer.kind === 'absent') {
      if (!answer.isDomainThere) return none('5.1.2', 'The domain does not exist');
      // The implicit MX: RFC 5321 §5.1.
      return this.#hopsOf(domain, [{ name: domain, preference: 0 }]);
    }
    // RFC 7505 §3: one record, of the root.
    if (answer.value.length === 1 && answer.value[0]!.name === '')
      return none('5.1.10', 'The domain does not accept mail');
    return this.#hopsOf(domain, answer.value);
  }

  /** RFC 5321 §5.1: where we are an exchange ourselves, only better ones are asked. */
  async #hopsOf(domain: string, exchanges: readonly MailExchange[]): Promise<Route> {
    const { hostname, isOurs, mayReach, port } = this.#options;
    const hops: (Hop & { readonly preference: number })[] = [];
    let ours = Number.POSITIVE_INFINITY;
    let isUnknown = false;
    for (const { name, preference } of exchanges) {
      if (preference > ours || name === '') continue;
      const addresses = await this.#addressesOf(name);
      if (addresses === 'unknown') isUnknown = true;
      if (typeof addresses === 'string') continue;
      if (name === hostname.toLowerCase() || addresses.some((address) => isOurs(address, port))) {
        ours = Math.min(ours, preference);
      }
      hops.push(...addresses.map((address) => ({ ...this.#exchangeHop(name, address), preference })));
    }
    const better = inRandomOrder(
      hops.filter(({ preference, address }) => preference < ours && mayReach(address)),
    );
    if (better.length > 0) return { kind: 'hops', key: domain, hops: better.slice(0, HOPS_PER_ATTEMPT) };
    if (ours !== Number.POSITIVE_INFINITY) return loop();
    if (isUnknown) return none('4.4.3', "The DNS does not answer for the domain's mail servers");
    return none('5.4.4', 'The domain has no mail server with an address');
  }

  async #addressesOf(host: string): Promise<readonly string[] | 'absent' | 'unknown'> {
    const answer = await this.#options.resolver.addresses(host);
    return answer.kind === 'found' ? answer.value : answer.kind;
  }

  #exchangeHop(name: string, address: string): Hop {
    const { port } = this.#options;
    return { name, address, port, security: 'opportunistic', credentials: null, caFile: null };
  }
}

/** Equal preferences share the load: RFC 5321 §5.1. An exchange's addresses keep their order: IPv6 first. */
function inRandomOrder<T extends { readonly name: string; readonly preference: number }>(hops: T[]): T[] {
  const rank = new Map<string, number>();
  const rankOf = (name: string): number => {
    if (!rank.has(name)) rank.set(name, Math.random());
    return rank.get(name)!;
  };
  return hops.toSorted((a, b) => a.preference - b.preference || rankOf(a.name) - rankOf(b.name));
}

function covers(pattern: string, domain: string): boolean {
  if (pattern === '*') return true;
  const wanted = pattern.toLowerCase();
  const name = domain.toLowerCase();
  return wanted.startsWith('.') ? name.endsWith(wanted) : name === wanted;
}

const none = (status: string, text: string, host: string | null = null): Route => ({
  kind: 'none',
  reply: ownReply(status, text, host),
});
const loop = (): Route => none('5.4.6', 'Mail for this domain would come back to this server');
