/**
 * The keys of all mailboxes, as the rest of Letterlock uses them: makes them, seals to them, opens them for a while.
 *
 * This is the one place where DeliverHandles and OwnerHandles are made. Delivering needs keys.db alone; owning needs
 * the key service, and a key-use journal that can be written. One process opens a directory at a time: it holds the
 * data directory's lock.
 */
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { RefusedError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { KEY_BATCH, LEASE_ABSOLUTE_MS, LEASE_IDLE_MS } from '../limits.ts';
import type { RecipientType } from '../seal/recipient.ts';
import type { DeliverHandle, OwnerHandle } from '../store/handles.ts';
import { type CheckpointLog, CheckpointWriter } from './checkpoint-writer.ts';
import { type Clock, systemClock } from './clock.ts';
import { type ContextOptions, type MailboxPurpose, mailboxPurpose } from './context.ts';
import { KeyCounts } from './counts.ts';
import { DkimKeys, type DkimSigner } from './dkim-keys.ts';
import type { KeyUser } from './journal-record.ts';
import { checkKeys, type KeyProblem } from './key-check.ts';
import { type DkimAlgorithm, type DkimKeyRow, KeyStore } from './key-store.ts';
import { administration, KeyUse } from './key-use.ts';
import { LeaseCache } from './lease-cache.ts';
import { LeaseKeeper, type LeaseTimes } from './lease-keeper.ts';
import { Locks } from './locks.ts';
import { Owner, type OwnerParts } from './owner.ts';
import { createMailboxes, createOrganization, type Provisioning, unwrapDirectoryKey } from './provision.ts';
import type { RedisLink } from './redis-link.ts';
import { syncDirectory } from './root-key-file.ts';
import type { KeyService } from './service.ts';
import { type JournalFile, UseJournal } from './use-journal.ts';
import { type SecondPin, VerifiedRecipients } from './verified-recipients.ts';

export type { KeyProblem } from './key-check.ts';
export type { LocksOf } from './locks.ts';

/** The part of a logger that the keyring uses; pino's is one. */
export type KeyringLog = CheckpointLog;

export interface KeyringOptions {
  /** `keys` of docs/format.md: holds keys.db and journal/. Made (0700) when absent. */
  readonly directory: string;
  readonly service: KeyService;
  readonly context: ContextOptions;
  /** Type of the identities made from now on. */
  readonly recipientType: RecipientType;
  /** Names this start of the process, 1 to 64 of 0-9, a-z and hyphen; no journal of that name may exist. */
  readonly bootId: string;
  readonly log?: KeyringLog;
  /** Default: LEASE_IDLE_MS and LEASE_ABSOLUTE_MS, which are also the most that is allowed. */
  readonly leaseTimes?: LeaseTimes;
  readonly clock?: Clock;
  /** Where opened keys are kept beside the memory; the keyring closes it. Default: nowhere. */
  readonly redis?: RedisLink;
  /** The organizations' directory keys as they are kept apart from the key store. */
  readonly secondPin?: SecondPin;
  /** Where the key-use journal is written; for tests of disks that are full or fail. */
  readonly openJournalFile?: (path: string) => Promise<JournalFile>;
  /** How often the journals' ends are signed, and where that is written to besides. */
  readonly checkpoints?: { readonly intervalMs?: number; readonly copyFile?: string | null };
}

export interface MailboxKeyRequest {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  /** Who asks for it: an administrator's address, or a service's name. */
  readonly principal: string;
  /** Default `mailbox`. */
  readonly purpose?: MailboxPurpose;
}

export interface OwnerRequest extends KeyUser {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly quotaOctets: number | null;
  /** True for work that no client waits for: its use never extends a lease. Default false. */
  readonly isBackground?: boolean;
  /** What its keys were made for. Default `mailbox`. */
  readonly purpose?: MailboxPurpose;
}

export class Keyring {
  readonly counts = new KeyCounts();
  /** Which mailboxes and organizations are locked, and locking them. */
  readonly locks: Locks;
  readonly #parts: OwnerParts;
  readonly #provisioning: Provisioning;
  readonly #recipients: VerifiedRecipients;
  readonly #checkpoints: CheckpointWriter;
  readonly #dkim: DkimKeys;
  /** Changes to the key store are made one after the other: each takes several steps, with awaits between them. */
  #lastChange: Promise<unknown> = Promise.resolve();

  /**
   * Opens or makes the key store and starts this process's key-use journal.
   * @throws IntegrityError 'format' and UnavailableError as KeyStore.open does. Not when the journal cannot be made: keys
   *   cannot be used then, and receiving goes on (`canUseKeys`).
   */
  static async open(options: KeyringOptions): Promise<Keyring> {
    try {
      return await Keyring.#open(options);
    } catch (error) {
      options.redis?.close();
      throw error;
    }
  }

  static async #open(options: KeyringOptions): Promise<Keyring> {
    const { directory, bootId, clock = systemClock, log } = options;
    const journals = join(directory, 'journal');
    await mkdir(journals, { recursive: true, mode: 0o700 });
    const store = KeyStore.open(join(directory, 'keys.db'));
    try {
      await syncDirectory(directory);
      await syncDirectory(dirname(directory));
      const journal = await UseJournal.open({
        path: join(journals, `use-${bootId}.log`),
        bootId,
        now: () => clock.now(),
        onFailure: (error) => log?.error({ err: error }, 'the key-use journal cannot be written'),
        ...(options.openJournalFile === undefined ? {} : { openFile: options.openJournalFile }),
      });
      return new Keyring(options, store, journal, clock);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  private constructor(options: KeyringOptions, store: KeyStore, journal: UseJournal, clock: Clock) {
    const keyUse = new KeyUse(options.service, journal, options.context, this.counts);
    const { leaseTimes, redis } = options;
    const times = {
      idleMs: Math.min(leaseTimes?.idleMs ?? LEASE_IDLE_MS, LEASE_IDLE_MS),
      absoluteMs: Math.min(leaseTimes?.absoluteMs ?? LEASE_ABSOLUTE_MS, LEASE_ABSOLUTE_MS),
    };
    const keeper = new LeaseKeeper(clock, times);
    const cache = redis === undefined ? null : new LeaseCache({ redis, store, keyUse, clock, times });
    this.locks = new Locks({ store, keyUse, keeper, cache, now: () => clock.now() });
    this.#parts = { store, keyUse, keeper, journal, counts: this.counts, locks: this.locks, cache };
    this.#dkim = new DkimKeys({ store, keyUse, journal, clock, absoluteMs: times.absoluteMs });
    this.#provisioning = { store, keyUse, recipientType: options.recipientType, now: () => clock.now() };
    this.#recipients = new VerifiedRecipients(store, options.secondPin);
    this.#checkpoints = new CheckpointWriter({
      directory: options.directory,
      journal: () => journal.end,
      now: () => clock.now(),
      log: options.log,
      ...options.checkpoints,
    });
  }

  /** False while the key-use journal cannot be written: what needs a key throws UnavailableError then. */
  get canUseKeys(): boolean {
    return this.#parts.journal.isWritable;
  }

  get heldLeases(): number {
    return this.#parts.keeper.size;
  }

  /** Of the key-use journal: when this process made the last one, and whether the last attempt failed. */
  get checkpoints(): { readonly lastAt: number | null; readonly isFailing: boolean } {
    return this.#checkpoints;
  }

  /** Whether the lease cache in Redis answers; `none` without one. It is not needed: all works when it does not. */
  get cacheState(): 'none' | 'answering' | 'failing' {
    const { cache } = this.#parts;
    if (cache === null) return 'none';
    return cache.isAnswering ? 'answering' : 'failing';
  }

  /**
   * Makes the organization's directory key. Nothing happens when it has one under the same key id.
   * @param keyId Of the key service; undefined for its default.
   * @throws RefusedError 'already-exists' when it has one under another key id, 'key-denied'; UnavailableError.
   */
  createOrganizationKeys(
    organization: OrganizationId,
    keyId: string | undefined,
    principal: string,
  ): Promise<void> {
    const { defaultKeyId } = this.#parts.keyUse.service;
    const user = administration(principal, 'create organization');
    return this.#change(() =>
      createOrganization(this.#provisioning, organization, keyId ?? defaultKeyId, user),
    );
  }

  /** The raw public key that the organization's recipients are signed with; null when it has no keys. */
  directoryKey(organization: OrganizationId): Uint8Array | null {
    return this.#parts.store.organization(organization)?.directoryKey ?? null;
  }

  /** @throws RefusedError 'in-use' while it has mailboxes. Nothing happens when it has no keys. */
  removeOrganizationKeys(organization: OrganizationId, principal: string): Promise<void> {
    return this.#change(async () => {
      const { store, keyUse, cache } = this.#parts;
      const row = store.organization(organization);
      if (row === undefined) return;
      const key = {
        organization,
        mailbox: null,
        epoch: null,
        purpose: 'directory',
        keyId: row.keyId,
      } as const;
      await keyUse.recorded(key, administration(principal, 'remove organization'), 'remove', async () => {
        cache?.forgetOrganization(organization);
        store.removeOrganization(organization);
        return { requestId: null };
      });
      this.#recipients.forgetOrganization(organization);
      this.locks.forget(organization);
    });
  }

  /**
   * Makes identity, index key and signed statement, and publishes them once proven; durable when it resolves. Nothing
   * happens when the mailbox has keys; after a crash or an error, call again.
   * @throws RefusedError 'already-exists' when the mailbox is another organization's, 'key-denied'; UnavailableError;
   *   IntegrityError 'missing-key' when the organization has no keys.
   */
  createMailboxKeys(request: MailboxKeyRequest): Promise<void> {
    return this.createManyMailboxKeys([request]);
  }

  /** The same for many, with a few syncs for every KEY_BATCH of them: those before an error have their keys. */
  createManyMailboxKeys(requests: readonly MailboxKeyRequest[]): Promise<void> {
    return this.#change(async () => {
      for (const group of this.#withoutKeys(requests)) {
        const { organization, principal, purpose, mailboxes } = group;
        const user = administration(principal, 'create mailbox');
        const directory = await unwrapDirectoryKey(this.#provisioning, organization, user);
        for (let start = 0; start < mailboxes.length; start += KEY_BATCH) {
          const batch = mailboxes.slice(start, start + KEY_BATCH);
          await createMailboxes(this.#provisioning, directory, batch, user, purpose);
        }
      }
    });
  }

  /**
   * Destroys the mailbox's wrapped identities and forgets its lease. Its mail can never be opened again, except through
   * a backup of the key store. Nothing happens when it has no keys.
   */
  removeMailboxKeys(mailbox: MailboxId, principal: string): Promise<void> {
    return this.#change(async () => {
      const { store, keyUse, keeper, cache } = this.#parts;
      const organization = store.organizationOf(mailbox);
      if (organization === undefined) return store.emptyWal();
      const keyId = store.keyIdOf(organization, mailbox);
      const purpose = mailboxPurpose(store.currentKey(mailbox)?.identity.context ?? {}) ?? 'mailbox';
      const key = { organization, mailbox, epoch: null, purpose, keyId };
      await keyUse.recorded(key, administration(principal, 'remove mailbox'), 'remove', async () => {
        this.#recipients.forget(mailbox);
        keeper.forget(mailbox);
        const epochs = store.epochsOf(mailbox);
        store.removeMailbox(mailbox);
        this.locks.forget(mailbox);
        await cache?.forget(mailbox, epochs);
        return { requestId: null };
      });
    });
  }

  /**
   * The right to deliver to a mailbox: its recipient, verified. Asks nobody but keys.db.
   * @throws IntegrityError 'missing-key', 'recipient-unverified'.
   */
  deliverHandle(organization: OrganizationId, mailbox: MailboxId, quotaOctets: number | null): DeliverHandle {
    const { epoch, recipient } = this.#recipients.get(organization, mailbox);
    return { kind: 'deliver', organization, mailbox, epoch, recipient, quotaOctets };
  }

  /**
   * The right of an authenticated owner. Opens nothing yet: `lease()` does, when it is first called.
   * @throws IntegrityError as deliverHandle does, because an owner also seals.
   */
  ownerHandle(request: OwnerRequest): OwnerHandle {
    const { organization, mailbox, quotaOctets, isBackground = false, purpose = 'mailbox' } = request;
    const { principal, protocol, address, reason } = request;
    const verified = this.#recipients.get(organization, mailbox);
    const fields = { mailbox, quotaOctets, extendsLease: !isBackground, purpose };
    return new Owner(this.#parts, verified, fields, { principal, protocol, address, reason });
  }

  /** Ends the mailbox's lease in memory now. */
  endLease(mailbox: MailboxId): void {
    this.#parts.keeper.forget(mailbox);
  }

  /**
   * Signs where the key-use journals end, if one has grown. Receiving and reading never wait for it.
   * @returns the newest checkpoint, a line without LF; null when no key was ever used.
   * @throws what keeps it from being written.
   */
  checkpoint(): Promise<string | null> {
    return this.#checkpoints.make();
  }

  /**
   * New DKIM keys of a domain, which wait until `activateDkimKeys`.
   * @throws RefusedError 'too-many', 'key-denied'; UnavailableError; IntegrityError.
   */
  createDkimKeys(
    organization: OrganizationId,
    domain: string,
    algorithms: readonly DkimAlgorithm[],
    principal: string,
  ): Promise<readonly DkimKeyRow[]> {
    const user = administration(principal, 'create DKIM key');
    return this.#change(() => this.#dkim.create(organization, domain, algorithms, user));
  }

  /** Of one domain, or of all. */
  dkimKeys(domain?: string): readonly DkimKeyRow[] {
    return this.#parts.store.dkimKeys(domain);
  }

  activateDkimKeys(domain: string): Promise<void> {
    return this.#change(async () => {
      this.#parts.store.activateDkimKeys(domain);
      this.#dkim.forget(null);
    });
  }

  /** One key, or all of the domain. @returns how many there were. */
  removeDkimKeys(domain: string, selector: string | null, principal: string): Promise<number> {
    return this.#change(async () => {
      const { store, keyUse } = this.#parts;
      const rows = store.dkimKeys(domain).filter((row) => selector === null || row.selector === selector);
      const [first] = rows;
      if (first === undefined) return 0;
      const place = {
        organization: first.organization,
        mailbox: null,
        epoch: null,
        purpose: 'dkim',
      } as const;
      const key = { ...place, keyId: first.secret.keyId };
      await keyUse.recorded(key, administration(principal, 'remove DKIM key'), 'remove', async () => {
        store.removeDkimKeys(domain, selector);
        this.#dkim.forget(null);
        return { requestId: null };
      });
      return rows.length;
    });
  }

  /** The opened keys that mail of the domain is signed with now. @throws as a lease does. */
  dkimSigners(organization: OrganizationId, domain: string, user: KeyUser): Promise<readonly DkimSigner[]> {
    return this.#dkim.signers(organization, domain, user);
  }

  /** Lets go of opened DKIM keys of an organization. */
  forgetDkimKeys(organization: OrganizationId): void {
    this.#dkim.forget(organization);
  }

  hasMailboxKeys(mailbox: MailboxId): boolean {
    return this.#parts.store.hasCurrentKey(mailbox);
  }

  /** For fsck: every row's statement, epoch, context and wrapped form, without unwrapping any. */
  verify(): readonly KeyProblem[] {
    return [...checkKeys(this.#parts.store, this.#recipients)];
  }

  /** Ends all leases, waits for changes under way, closes Redis, journal and key store, with a last checkpoint. */
  async close(): Promise<void> {
    const { store, keeper, journal, cache } = this.#parts;
    await this.#lastChange;
    keeper.forgetAll();
    cache?.close();
    this.#dkim.forget(null);
    await journal.close();
    await this.#checkpoints.close();
    store.close();
  }

  /** Mailboxes that have no current key, each once, by organization, principal and purpose. */
  #withoutKeys(requests: readonly MailboxKeyRequest[]): Iterable<KeylessMailboxes> {
    const { store } = this.#parts;
    const groups = new Map<string, KeylessMailboxes>();
    const seen = new Map<MailboxId, OrganizationId>();
    for (const { organization, mailbox, principal, purpose = 'mailbox' } of requests) {
      const owner = seen.get(mailbox) ?? store.organizationOf(mailbox) ?? organization;
      if (owner !== organization) {
        throw new RefusedError('already-exists', 'The mailbox has keys in another organization.');
      }
      if (seen.has(mailbox) || store.hasCurrentKey(mailbox)) continue;
      seen.set(mailbox, organization);
      const name = `${organization} ${purpose} ${principal}`;
      const group = groups.get(name) ?? { organization, principal, purpose, mailboxes: [] };
      group.mailboxes.push(mailbox);
      groups.set(name, group);
    }
    return groups.values();
  }

  #change<T>(work: () => Promise<T>): Promise<T> {
    const change = this.#lastChange.then(work);
    this.#lastChange = change.catch(() => undefined);
    return change;
  }
}

/** To be made with one signing key, on behalf of one principal. */
interface KeylessMailboxes {
  readonly organization: OrganizationId;
  readonly principal: string;
  readonly purpose: MailboxPurpose;
  readonly mailboxes: MailboxId[];
}
