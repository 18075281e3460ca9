/**
 * DKIM signing keys: made here, wrapped by the key service with the purpose `dkim`, kept in keys.db, opened for the queue
 * for as long as a lease lasts. docs/format.md, "DKIM keys". RFC 6376, RFC 8463.
 *
 * A new key waits until its record is in the DNS: what is signed before that fails everywhere.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { IntegrityError, RefusedError } from '../errors.ts';
import type { OrganizationId } from '../ids.ts';
import { DKIM_KEYS_PER_DOMAIN, DKIM_RSA_BITS } from '../limits.ts';
import type { Clock } from './clock.ts';
import type { KeyUser } from './journal-record.ts';
import type { DkimAlgorithm, DkimKeyRow, KeyStore } from './key-store.ts';
import { dkimPlace, type KeyUse } from './key-use.ts';
import type { UseJournal } from './use-journal.ts';

export interface DkimParts {
  readonly store: KeyStore;
  readonly keyUse: KeyUse;
  readonly journal: UseJournal;
  readonly clock: Clock;
  /** Opened keys are held for so long at most. */
  readonly absoluteMs: number;
}

/** A signing key that is open. */
export interface DkimSigner {
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  readonly key: KeyObject;
}

interface OpenSigners {
  readonly signers: readonly DkimSigner[];
  readonly expiresAt: number;
  readonly cancel: () => void;
}

const generate = promisify(generateKeyPair);

export class DkimKeys {
  readonly #parts: DkimParts;
  /** By organization and domain. */
  readonly #open = new Map<string, OpenSigners>();
  /** How often something was let go of: what was unwrapped across that is not kept. */
  #forgets = 0;

  constructor(parts: DkimParts) {
    this.#parts = parts;
  }

  /**
   * New keys of a domain, one for each algorithm, that wait. Durable when it resolves; unwrapped once before.
   * @throws RefusedError 'too-many', 'key-denied'; UnavailableError; IntegrityError 'missing-key' without an organization.
   */
  async create(
    organization: OrganizationId,
    domain: string,
    algorithms: readonly DkimAlgorithm[],
    user: KeyUser,
  ): Promise<readonly DkimKeyRow[]> {
    const { store, keyUse, clock } = this.#parts;
    const known = store.dkimKeys(domain);
    if (known.length + algorithms.length > DKIM_KEYS_PER_DOMAIN) {
      throw new RefusedError(
        'too-many',
        'The domain has many DKIM keys: remove those that are not used any more',
      );
    }
    const keyId = store.organization(organization)?.keyId;
    if (keyId === undefined) throw new IntegrityError('missing-key', 'This organization has no keys.');
    const place = dkimPlace(organization);
    const rows: DkimKeyRow[] = [];
    for (const algorithm of algorithms) {
      const { secret, publicKey } = await newPair(algorithm);
      try {
        const wrapped = await keyUse.wrap(place, keyId, user, secret);
        const { clear } = await keyUse.unwrap(place, wrapped, user);
        const isSame = clear.equals(secret);
        clear.fill(0);
        if (!isSame) throw new IntegrityError('format', 'The key service did not return what it wrapped.');
        const selector = freeSelector(clock.now(), algorithm, [...known, ...rows]);
        const createdAt = clock.now();
        rows.push({
          organization,
          domain,
          selector,
          algorithm,
          publicKey,
          secret: wrapped,
          state: 'waiting',
          createdAt,
        });
      } finally {
        secret.fill(0);
      }
    }
    store.addDkimKeys(rows);
    return rows;
  }

  /** The keys that mail of the domain is signed with now; none when there are none. @throws as KeyUse.unwrap does. */
  async signers(organization: OrganizationId, domain: string, user: KeyUser): Promise<readonly DkimSigner[]> {
    const { clock, store, absoluteMs } = this.#parts;
    const slot = slotOf(organization, domain);
    const held = this.#open.get(slot);
    if (held !== undefined && held.expiresAt > clock.now()) return held.signers;
    const rows = store
      .dkimKeys(domain)
      .filter((row) => row.state === 'active' && row.organization === organization);
    if (rows.length === 0) return [];
    const forgets = this.#forgets;
    const signers: DkimSigner[] = [];
    for (const row of rows) signers.push(await this.#unwrap(row, user));
    if (forgets !== this.#forgets) return signers;
    this.#drop(slot);
    const cancel = clock.after(absoluteMs, () => this.#drop(slot));
    this.#open.set(slot, { signers, expiresAt: clock.now() + absoluteMs, cancel });
    return signers;
  }

  /** Lets go of an organization's opened keys; all when it is null. */
  forget(organization: OrganizationId | null): void {
    this.#forgets++;
    for (const slot of [...this.#open.keys()]) {
      if (organization === null || slot.startsWith(slotOf(organization, ''))) this.#drop(slot);
    }
  }

  async #unwrap(
    { organization, domain, selector, algorithm, publicKey, secret }: DkimKeyRow,
    user: KeyUser,
  ): Promise<DkimSigner> {
    const { keyUse, journal } = this.#parts;
    const place = dkimPlace(organization);
    const { clear, requestId } = await keyUse.unwrap(place, secret, user);
    try {
      const key = createPrivateKey({ key: Buffer.from(clear), format: 'der', type: 'pkcs8' });
      if (!publicHalf(key, algorithm).equals(publicKey)) {
        throw new IntegrityError('context-mismatch', 'A DKIM key is not the one that was published.');
      }
      journal.lease({ ...place, keyId: secret.keyId }, user, { source: 'key-service', requestId });
      return { domain, selector, algorithm, key };
    } finally {
      clear.fill(0);
    }
  }

  #drop(slot: string): void {
    this.#open.get(slot)?.cancel();
    this.#open.delete(slot);
  }
}

const slotOf = (organization: OrganizationId, domain: string): string => `${organization}/${domain}`;

async function newPair(algorithm: DkimAlgorithm): Promise<{ secret: Buffer; publicKey: Buffer }> {
  const { privateKey } =
    algorithm === 'rsa' ? await generate('rsa', { modulusLength: DKIM_RSA_BITS }) : await generate('ed25519');
  const secret = privateKey.export({ format: 'der', type: 'pkcs8' });
  return { secret, publicKey: publicHalf(privateKey, algorithm) };
}

/** As the DNS has it: RFC 6376 §3.6.1 (SubjectPublicKeyInfo) and RFC 8463 §4 (32 octets). */
function publicHalf(key: KeyObject, algorithm: DkimAlgorithm): Buffer {
  const half = createPublicKey(key);
  return algorithm === 'rsa'
    ? half.export({ format: 'der', type: 'spki' })
    : Buffer.from(half.export({ format: 'raw-public' }));
}

/** Says how old it is: `20270102-rsa`, and `20270102b-rsa` for a second one of that day. */
function freeSelector(now: number, algorithm: DkimAlgorithm, known: readonly DkimKeyRow[]): string {
  const day = new Date(now).toISOString().slice(0, 10).replaceAll('-', '');
  const taken = new Set(known.map(({ selector }) => selector));
  for (const letter of ['', ...'bcdefghijklmnopqrstuvwxyz']) {
    const selector = `${day}${letter}-${algorithm}`;
    if (!taken.has(selector)) return selector;
  }
  throw new RefusedError('too-many', 'The domain has had many DKIM keys made today');
}
