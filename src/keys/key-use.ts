/**
 * The one way to the key service: each call carries its encryption context and a deadline, and is recorded in the
 * key-use journal, before it is made and once it has ended, whatever its end.
 */
import { IntegrityError, LetterlockError } from '../errors.ts';
import type { MailboxId, OrganizationId } from '../ids.ts';
import { KEY_SERVICE_DEADLINE_MS } from '../limits.ts';
import {
  type ContextOptions,
  encryptionContext,
  isContextOf,
  type KeySubject,
  type MailboxPurpose,
} from './context.ts';
import type { KeyCounts } from './counts.ts';
import type { KeyOperation, KeyUser, UsedKey } from './journal-record.ts';
import type { WrappedKey } from './key-store.ts';
import { failedRequestId, type KeyService, type Unwrapped } from './service.ts';
import type { UseJournal } from './use-journal.ts';

/** What a key belongs to; `epoch` is null for keys of the organization itself. */
export interface KeyPlace extends KeySubject {
  readonly epoch: number | null;
}

export const mailboxPlace = (
  organization: OrganizationId,
  mailbox: MailboxId,
  epoch: number,
  purpose: MailboxPurpose = 'mailbox',
): KeyPlace => ({ organization, mailbox, epoch, purpose });

export const directoryPlace = (organization: OrganizationId): KeyPlace => ({
  organization,
  mailbox: null,
  epoch: null,
  purpose: 'directory',
});

/** Of all domains of the organization: the public half says which key it is. */
export const dkimPlace = (organization: OrganizationId): KeyPlace => ({
  organization,
  mailbox: null,
  epoch: null,
  purpose: 'dkim',
});

export const cachePlace = (organization: OrganizationId): KeyPlace => ({
  organization,
  mailbox: null,
  epoch: null,
  purpose: 'cache',
});

/** Who changes keys from the command line, and what for. */
export const administration = (principal: string, reason: string): KeyUser => ({
  principal,
  protocol: 'admin',
  address: '',
  reason,
});

/** All methods throw as KeyService and UseJournal.intent do. */
export class KeyUse {
  readonly service: KeyService;
  readonly #journal: UseJournal;
  readonly #context: ContextOptions;
  readonly #counts: KeyCounts;

  constructor(service: KeyService, journal: UseJournal, context: ContextOptions, counts: KeyCounts) {
    this.service = service;
    this.#journal = journal;
    this.#context = context;
    this.#counts = counts;
  }

  async wrap(place: KeyPlace, keyId: string, user: KeyUser, clear: Uint8Array): Promise<WrappedKey> {
    const context = encryptionContext(this.#context, place);
    const { blob } = await this.recorded({ ...place, keyId }, user, 'wrap', (signal) =>
      this.service.wrap(keyId, context, clear, signal),
    );
    return { keyId, context, wrapped: blob };
  }

  /** @throws IntegrityError 'context-mismatch' also when the stored context is not this place's; nobody is asked then. */
  async unwrap(place: KeyPlace, key: WrappedKey, user: KeyUser): Promise<Unwrapped> {
    if (!isContextOf(key.context, place)) {
      throw new IntegrityError('context-mismatch', 'A wrapped key is stored with the context of another.');
    }
    return await this.recorded({ ...place, keyId: key.keyId }, user, 'unwrap', (signal) =>
      this.service.unwrap(key.keyId, key.context, key.wrapped, signal),
    );
  }

  /** Does `work` between a durable intent and its outcome. */
  async recorded<T extends { readonly requestId: string | null }>(
    key: UsedKey,
    user: KeyUser,
    operation: KeyOperation,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const intent = await this.#journal.intent(key, user, operation);
    const begunAt = performance.now();
    const ended = (outcome: string, requestId: string | null): void => {
      this.#counts.called(operation, outcome, performance.now() - begunAt);
      this.#journal.outcome(key, user, { operation, intent, requestId, outcome });
    };
    try {
      const result = await work(AbortSignal.timeout(KEY_SERVICE_DEADLINE_MS));
      ended('ok', result.requestId);
      return result;
    } catch (error) {
      const outcome = error instanceof LetterlockError ? error.code : 'bug';
      ended(outcome, error instanceof Error ? failedRequestId(error) : null);
      throw error;
    }
  }
}
