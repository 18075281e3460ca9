/**
 * keys.db: the only place where wrapped identities are. docs/format.md, "Key store". Losing it loses all mail.
 *
 * A synchronous store of rows; what the rows prove is checked by others (statement.ts, opened-keys.ts). A commit is on
 * stable storage when a method returns (WAL with synchronous=FULL syncs at each commit). Deleted rows are overwritten
 * (secure_delete) and the WAL that held them is emptied before remove* returns. Nothing here is secret in itself:
 * every key is wrapped or sealed. One process writes; it holds the data directory's lock.
 */
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { IntegrityError, RefusedError, UnavailableError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import type { RecipientType } from '../seal/recipient.ts';
import { refuseOldSqlite, Statements } from '../sqlite.ts';
import type { EncryptionContext } from './context.ts';
import { prepareKeyDatabase } from './key-schema.ts';

/** `pending`: not yet proven, never shown to a sender. `current`: mail is sealed to it. */
export type KeyState = 'pending' | 'current';

/** A key as the key service wrapped it, with what it takes to unwrap it. */
export interface WrappedKey {
  readonly keyId: string;
  readonly context: EncryptionContext;
  readonly wrapped: Buffer;
}

export interface OrganizationKeyRow {
  readonly organization: OrganizationId;
  /** The key that wraps the identities of its mailboxes from now on. */
  readonly keyId: string;
  /** The pin: the directory key's raw Ed25519 public key. */
  readonly directoryKey: Buffer;
  /** Its private half (32 octets), wrapped. */
  readonly directorySecret: WrappedKey;
  readonly createdAt: number;
}

/** The clear fields of a recipient statement, and the signature over them (statement.ts). */
export interface RecipientRow {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly epoch: number;
  readonly recipientType: RecipientType;
  readonly recipient: string;
  readonly signature: Buffer;
}

export interface MailboxKeyRow extends RecipientRow {
  readonly identity: WrappedKey;
  /** Sealed under the identity seed. */
  readonly sealedIndexKey: Buffer;
  readonly state: KeyState;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

/** That a mailbox or an organization is locked: its keys are not to be opened. */
export interface Lock {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** In an administrator's words; empty when none were given. */
  readonly reason: string;
}

export type DkimAlgorithm = 'rsa' | 'ed25519';

export interface DkimKeyRow {
  readonly organization: OrganizationId;
  readonly domain: string;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
  /** As it is published: SubjectPublicKeyInfo, or 32 octets. */
  readonly publicKey: Buffer;
  /** PKCS #8. */
  readonly secret: WrappedKey;
  /** `waiting` for its DNS record; `active`: signs; `retired`: what it signed may still be verified. */
  readonly state: 'waiting' | 'active' | 'retired';
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

export interface MailboxEpochs {
  readonly organization: OrganizationId;
  readonly mailbox: MailboxId;
  readonly currentEpoch: number | null;
  readonly highestEpoch: number | null;
}

/** Of a mailbox's cache salt. */
export const CACHE_SALT_OCTETS = 32;

const SQLITE_FULL = 13;

const RECIPIENT_COLUMNS = 'organization, mailbox, epoch, recipient_type, recipient, signature';
const KEY_COLUMNS = `${RECIPIENT_COLUMNS}, key_id, context, wrapped, sealed_index_key, state, created_at`;
const CACHE_KEY = 'SELECT * FROM cache_key WHERE organization = ?';
const KEYS = 'mailbox_key JOIN mailbox USING (mailbox)';

export class KeyStore {
  readonly #path: string;
  readonly #database: DatabaseSync;
  readonly #statements: Statements;

  /**
   * @throws IntegrityError 'format' when the file was written by a later version or is no key store;
   *   UnavailableError 'busy' when this SQLite is too old or does not keep its promises.
   */
  static open(path: string): KeyStore {
    refuseOldSqlite();
    // SQLite makes its files readable for all; the WAL takes over the database's mode.
    closeSync(openSync(path, 'a', 0o600));
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      prepareKeyDatabase(database);
      return new KeyStore(path, database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  private constructor(path: string, database: DatabaseSync) {
    this.#path = path;
    this.#database = database;
    this.#statements = new Statements(database, 'objects');
  }

  organization(organization: OrganizationId): OrganizationKeyRow | undefined {
    const row = this.#prepare('SELECT * FROM organization_key WHERE organization = ?').get(organization);
    return row === undefined ? undefined : organizationRow(row);
  }

  organizations(): readonly OrganizationKeyRow[] {
    return this.#prepare('SELECT * FROM organization_key ORDER BY organization').all().map(organizationRow);
  }

  addOrganization(row: OrganizationKeyRow): void {
    this.#prepare('INSERT INTO organization_key VALUES (?, ?, ?, ?, ?, ?, ?)').run(
      row.organization,
      row.keyId,
      row.directoryKey,
      row.directorySecret.keyId,
      JSON.stringify(row.directorySecret.context),
      row.directorySecret.wrapped,
      row.createdAt,
    );
  }

  /** @throws RefusedError 'in-use' while the organization has mailboxes. */
  removeOrganization(organization: OrganizationId): void {
    if (
      this.#prepare('SELECT 1 FROM mailbox WHERE organization = ? LIMIT 1').get(organization) !== undefined
    ) {
      throw new RefusedError('in-use', 'The organization still has mailboxes.');
    }
    this.#transaction(() => {
      this.#prepare('DELETE FROM dkim_key WHERE organization = ?').run(organization);
      this.#prepare('DELETE FROM organization_key WHERE organization = ?').run(organization);
    });
    this.emptyWal();
  }

  /** What sealing to a mailbox takes: of its current epoch, without any key. */
  currentRecipient(mailbox: MailboxId): RecipientRow | undefined {
    const row = this.#prepare(
      `SELECT ${RECIPIENT_COLUMNS} FROM ${KEYS} WHERE mailbox = ? AND state = 'current'`,
    ).get(mailbox);
    return row === undefined ? undefined : recipientRow(row);
  }

  currentKey(mailbox: MailboxId): MailboxKeyRow | undefined {
    const row = this.#prepare(
      `SELECT ${KEY_COLUMNS} FROM ${KEYS} WHERE mailbox = ? AND state = 'current'`,
    ).get(mailbox);
    return row === undefined ? undefined : mailboxKeyRow(row);
  }

  hasCurrentKey(mailbox: MailboxId): boolean {
    return (
      this.#prepare(`SELECT 1 FROM mailbox_key WHERE mailbox = ? AND state = 'current'`).get(mailbox) !==
      undefined
    );
  }

  /** Every epoch of every mailbox, in order. */
  *allKeys(): Generator<MailboxKeyRow> {
    for (const row of this.#prepare(`SELECT ${KEY_COLUMNS} FROM ${KEYS} ORDER BY mailbox, epoch`).iterate()) {
      yield mailboxKeyRow(row);
    }
  }

  /** Of every mailbox the epoch that mail is sealed to and the highest there is; null for none. */
  mailboxEpochs(): readonly MailboxEpochs[] {
    return this.#prepare(
      `SELECT organization, mailbox, max(epoch) AS highest,
              max(CASE state WHEN 'current' THEN epoch END) AS current
       FROM mailbox LEFT JOIN mailbox_key USING (mailbox) GROUP BY mailbox ORDER BY mailbox`,
    )
      .all()
      .map((row) => ({
        organization: text(row, 'organization') as OrganizationId,
        mailbox: text(row, 'mailbox') as MailboxId,
        currentEpoch: row['current'] as number | null,
        highestEpoch: row['highest'] as number | null,
      }));
  }

  /**
   * Writes keys that are not to be used yet, in one transaction. Pending keys that these mailboxes had are forgotten:
   * nothing was ever sealed to them.
   */
  addPending(rows: readonly MailboxKeyRow[], cacheSalt: () => Buffer): void {
    this.#transaction(() => {
      for (const row of rows) {
        this.#prepare('INSERT INTO mailbox VALUES (?, ?, ?) ON CONFLICT DO NOTHING').run(
          row.mailbox,
          row.organization,
          cacheSalt(),
        );
        this.#prepare(`DELETE FROM mailbox_key WHERE mailbox = ? AND state = 'pending'`).run(row.mailbox);
        this.#prepare('INSERT INTO mailbox_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
          row.mailbox,
          row.epoch,
          row.recipientType,
          row.recipient,
          row.signature,
          row.identity.keyId,
          JSON.stringify(row.identity.context),
          row.identity.wrapped,
          row.sealedIndexKey,
          'pending',
          row.createdAt,
        );
      }
    });
  }

  /**
   * Pending keys as they stand in the file: through a connection of its own, which shares no cache with the one that
   * wrote them.
   */
  readBackPending(mailboxes: readonly MailboxId[]): readonly MailboxKeyRow[] {
    const database = new DatabaseSync(this.#path, { readOnly: true });
    try {
      const select = database.prepare(
        `SELECT ${KEY_COLUMNS} FROM ${KEYS} WHERE mailbox = ? AND state = 'pending'`,
      );
      return mailboxes.map((mailbox) => {
        const row = select.get(mailbox);
        if (row === undefined) {
          throw new IntegrityError('missing-key', 'A key that was just written is not in the key store.');
        }
        return mailboxKeyRow(row);
      });
    } finally {
      database.close();
    }
  }

  /** From now on mail is sealed to these keys, which were read back and proven. One transaction. */
  publish(rows: readonly RecipientRow[]): void {
    this.#transaction(() => {
      for (const { mailbox, epoch, recipient } of rows) {
        const { changes } = this.#prepare(
          `UPDATE mailbox_key SET state = 'current'
           WHERE mailbox = ? AND epoch = ? AND recipient = ? AND state = 'pending'`,
        ).run(mailbox, epoch, recipient);
        if (changes !== 1)
          throw new IntegrityError('missing-key', 'A key to be published is not in the key store.');
      }
    });
  }

  /** What the mailbox's entries in a cache are sealed with, besides its organization's cache key. */
  cacheSalt(mailbox: MailboxId): Buffer | undefined {
    const row = this.#prepare('SELECT cache_salt FROM mailbox WHERE mailbox = ?').get(mailbox);
    return row === undefined ? undefined : octets(row, 'cache_salt');
  }

  epochsOf(mailbox: MailboxId): readonly number[] {
    const rows = this.#prepare('SELECT epoch FROM mailbox_key WHERE mailbox = ?').all(mailbox);
    return rows.map((row) => number(row, 'epoch'));
  }

  cacheKey(organization: OrganizationId): WrappedKey | undefined {
    const row = this.#prepare(CACHE_KEY).get(organization);
    return row === undefined ? undefined : wrappedKey(row);
  }

  /** To be read back and proven before it is used. */
  setCacheKey(organization: OrganizationId, key: WrappedKey, createdAt: number): void {
    this.#prepare('INSERT OR REPLACE INTO cache_key VALUES (?, ?, ?, ?, ?)').run(
      organization,
      key.keyId,
      JSON.stringify(key.context),
      key.wrapped,
      createdAt,
    );
  }

  /** As it stands in the file, like readBackPending. */
  readBackCacheKey(organization: OrganizationId): WrappedKey | undefined {
    const database = new DatabaseSync(this.#path, { readOnly: true });
    try {
      const row = database.prepare(CACHE_KEY).get(organization);
      return row === undefined ? undefined : wrappedKey(row);
    } finally {
      database.close();
    }
  }

  /** Every lock there is. */
  locks(): {
    readonly organizations: ReadonlyMap<OrganizationId, Lock>;
    readonly mailboxes: ReadonlyMap<MailboxId, Lock>;
  } {
    const organizations = this.#prepare('SELECT * FROM organization_lock').all();
    const mailboxes = this.#prepare('SELECT * FROM mailbox_lock').all();
    return {
      organizations: new Map(
        organizations.map((row) => [text(row, 'organization') as OrganizationId, lockOf(row)]),
      ),
      mailboxes: new Map(mailboxes.map((row) => [text(row, 'mailbox') as MailboxId, lockOf(row)])),
    };
  }

  /** Locks a mailbox that is there, in one transaction with its new cache salt: what a cache holds opens no more. */
  lockMailbox(mailbox: MailboxId, lock: Lock, cacheSalt: Buffer): void {
    this.#transaction(() => {
      this.#prepare('INSERT OR REPLACE INTO mailbox_lock VALUES (?, ?, ?)').run(
        mailbox,
        lock.since,
        lock.reason,
      );
      this.#prepare('UPDATE mailbox SET cache_salt = ? WHERE mailbox = ?').run(cacheSalt, mailbox);
    });
  }

  unlockMailbox(mailbox: MailboxId): void {
    this.#prepare('DELETE FROM mailbox_lock WHERE mailbox = ?').run(mailbox);
  }

  /** Locks an organization and removes its cache key: what a cache holds of its mailboxes opens no more. */
  lockOrganization(organization: OrganizationId, lock: Lock): void {
    this.#transaction(() => {
      this.#prepare('INSERT OR REPLACE INTO organization_lock VALUES (?, ?, ?)').run(
        organization,
        lock.since,
        lock.reason,
      );
      this.#prepare('DELETE FROM cache_key WHERE organization = ?').run(organization);
    });
  }

  unlockOrganization(organization: OrganizationId): void {
    this.#prepare('DELETE FROM organization_lock WHERE organization = ?').run(organization);
  }

  /** Destroys every epoch of the mailbox and its cache salt. @throws as emptyWal does, with the rows deleted. */
  removeMailbox(mailbox: MailboxId): void {
    this.#transaction(() => {
      this.#prepare('DELETE FROM mailbox_key WHERE mailbox = ?').run(mailbox);
      this.#prepare('DELETE FROM mailbox WHERE mailbox = ?').run(mailbox);
    });
    this.emptyWal();
  }

  /**
   * Moves the WAL into the file, where secure_delete overwrote what was deleted, and cuts it to nothing.
   * @throws UnavailableError 'busy' while another process reads the file; call again.
   */
  emptyWal(): void {
    if (this.#database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] !== 0) {
      throw new UnavailableError(
        'busy',
        'Another process reads the key store: deleted keys are not yet overwritten.',
      );
    }
  }

  /** Of one domain, or of all, the oldest first. */
  dkimKeys(domain?: string): readonly DkimKeyRow[] {
    return this.#prepare(
      'SELECT * FROM dkim_key WHERE ?1 IS NULL OR domain = ?1 ORDER BY domain, created_at, selector',
    )
      .all(domain ?? null)
      .map(dkimKeyRow);
  }

  addDkimKeys(rows: readonly DkimKeyRow[]): void {
    this.#transaction(() => {
      for (const row of rows) {
        this.#prepare('INSERT INTO dkim_key VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
          row.domain,
          row.selector,
          row.organization,
          row.algorithm,
          row.publicKey,
          row.secret.keyId,
          JSON.stringify(row.secret.context),
          row.secret.wrapped,
          row.state,
          row.createdAt,
        );
      }
    });
  }

  /** What waits signs from now on, what signed is retired. */
  activateDkimKeys(domain: string): void {
    this.#transaction(() => {
      this.#prepare(`UPDATE dkim_key SET state = 'retired' WHERE domain = ? AND state = 'active'`).run(
        domain,
      );
      this.#prepare(`UPDATE dkim_key SET state = 'active' WHERE domain = ? AND state = 'waiting'`).run(
        domain,
      );
    });
  }

  /** One key, or all of the domain. @returns how many there were. @throws as emptyWal does, with the rows deleted. */
  removeDkimKeys(domain: string, selector: string | null): number {
    const sql = 'DELETE FROM dkim_key WHERE domain = ?1 AND (?2 IS NULL OR selector = ?2)';
    const { changes } = this.#prepare(sql).run(domain, selector);
    if (changes !== 0) this.emptyWal();
    return Number(changes);
  }

  /** The organization whose keys the mailbox has, whatever their state. */
  organizationOf(mailbox: MailboxId): OrganizationId | undefined {
    const row = this.#prepare('SELECT organization FROM mailbox WHERE mailbox = ?').get(mailbox);
    return row?.['organization'] as OrganizationId | undefined;
  }

  /** The key that wraps the mailbox's current identity, or would wrap a new one; '' when there is none. */
  keyIdOf(organization: OrganizationId, mailbox: MailboxId): string {
    return this.currentKey(mailbox)?.identity.keyId ?? this.organization(organization)?.keyId ?? '';
  }

  /** Problems that SQLite itself finds; none when empty. */
  integrityProblems(): readonly string[] {
    const check = this.#database.prepare('PRAGMA integrity_check').all();
    const dangling = this.#database.prepare('PRAGMA foreign_key_check').all();
    return [
      ...check.map((row) => String(row['integrity_check'])).filter((line) => line !== 'ok'),
      ...dangling.map((row) => `a row of ${String(row['table'])} refers to a missing one`),
    ];
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    return this.#statements.get(sql);
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_FULL) {
        throw new UnavailableError('disk-full', 'There is no space for the key store.', error);
      }
      throw error;
    }
  }
}

type Row = Readonly<Record<string, unknown>>;

const organizationRow = (row: Row): OrganizationKeyRow => ({
  organization: text(row, 'organization') as OrganizationId,
  keyId: text(row, 'key_id'),
  directoryKey: octets(row, 'directory_key'),
  directorySecret: {
    keyId: text(row, 'directory_key_id'),
    context: parseContext(text(row, 'directory_context')),
    wrapped: octets(row, 'directory_wrapped'),
  },
  createdAt: number(row, 'created_at'),
});

const recipientRow = (row: Row): RecipientRow => ({
  organization: text(row, 'organization') as OrganizationId,
  mailbox: text(row, 'mailbox') as MailboxId,
  epoch: number(row, 'epoch'),
  // Checked where it is used: by the parser of the recipient and by identityFromSeed.
  recipientType: text(row, 'recipient_type') as RecipientType,
  recipient: text(row, 'recipient'),
  signature: octets(row, 'signature'),
});

const mailboxKeyRow = (row: Row): MailboxKeyRow => ({
  ...recipientRow(row),
  identity: wrappedKey(row),
  sealedIndexKey: octets(row, 'sealed_index_key'),
  state: text(row, 'state') as KeyState,
  createdAt: number(row, 'created_at'),
});

const wrappedKey = (row: Row): WrappedKey => ({
  keyId: text(row, 'key_id'),
  context: parseContext(text(row, 'context')),
  wrapped: octets(row, 'wrapped'),
});

const lockOf = (row: Row): Lock => ({ since: number(row, 'locked_at'), reason: text(row, 'reason') });

const dkimKeyRow = (row: Row): DkimKeyRow => ({
  organization: text(row, 'organization') as OrganizationId,
  domain: text(row, 'domain'),
  selector: text(row, 'selector'),
  algorithm: text(row, 'algorithm') as DkimAlgorithm,
  publicKey: octets(row, 'public_key'),
  secret: wrappedKey(row),
  state: text(row, 'state') as DkimKeyRow['state'],
  createdAt: number(row, 'created_at'),
});

// STRICT tables hold each column to its type, so these casts are claims that SQLite keeps.
const text = (row: Row, column: string): string => row[column] as string;
const number = (row: Row, column: string): number => row[column] as number;
const octets = (row: Row, column: string): Buffer => {
  const value = row[column] as Uint8Array;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
};

/** A context that cannot be read is an empty one, which fits no key: its use is refused, and fsck names it. */
function parseContext(json: string): EncryptionContext {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null) return {};
    return Object.values(value).every((item) => typeof item === 'string') ? (value as EncryptionContext) : {};
  } catch {
    return {};
  }
}
