/**
 * Outgoing mail of all organizations: opens their queues, begins with what is due as far as there is room, and stops
 * without losing anything.
 */

import type { Reporter } from '../delivery/reporter.ts';
import type { Directory } from '../directory/directory.ts';
import { RefusedError } from '../errors.ts';
import type { MessageId, OrganizationId } from '../ids.ts';
import type { DkimSigner } from '../keys/dkim-keys.ts';
import type { Keyring } from '../keys/keyring.ts';
import { OUTBOUND_LOOK_MS, OUTBOUND_MESSAGES, OUTBOUND_STARTS } from '../limits.ts';
import type { OwnerHandle } from '../store/handles.ts';
import type { MailStore } from '../store/types.ts';
import type { Connections } from './connections.ts';
import { type ItemDetail, type ItemSummary, OrganizationQueue, type QueueLog } from './organization-queue.ts';
import type { MailResolver } from './resolver.ts';
import type { Router } from './route.ts';
import type { Schedule } from './schedule.ts';

export interface OutboundDeps {
  readonly store: Pick<MailStore, 'openQueue'>;
  readonly keyring: Pick<Keyring, 'ownerHandle' | 'endLease' | 'dkimSigners' | 'forgetDkimKeys'>;
  readonly directory: Pick<Directory, 'organizations' | 'organizationOfDomain' | 'queueMailbox'>;
  readonly resolver: Pick<MailResolver, 'cancel' | 'texts'>;
  readonly router: Router;
  readonly connections: Connections;
  readonly reporter: Reporter;
  readonly schedule: Schedule;
  readonly log: QueueLog;
  readonly now?: () => number;
}

/** A message in the queue of an organization. */
export interface QueuedItem extends ItemSummary {
  readonly organization: OrganizationId;
  /** The code of what keeps the organization's mail waiting; null when nothing does. */
  readonly waitsFor: string | null;
}

const PRINCIPAL = 'queue';

export class Outbound {
  readonly #deps: OutboundDeps;
  readonly #now: () => number;
  readonly #queues = new Map<OrganizationId, OrganizationQueue>();
  readonly #unopened = new Set<OrganizationId>();
  #timer: NodeJS.Timeout | null = null;
  #look: NodeJS.Timeout | null = null;
  #isStarted = false;
  #isClosing = false;
  #isPumping = false;

  constructor(deps: OutboundDeps) {
    this.#deps = deps;
    this.#now = deps.now ?? Date.now;
  }

  /** Tells senders what became of their mail. */
  get reporter(): Reporter {
    return this.#deps.reporter;
  }

  /** Opens the queues that are there, and from then on those of new organizations. */
  async start(): Promise<void> {
    this.#isStarted = true;
    await this.#openQueues();
    this.#look = setInterval(() => void this.#openQueues(), OUTBOUND_LOOK_MS).unref();
  }

  /** @param graceMs What is being sent is finished within it, or broken off and sent again later. */
  async close(graceMs: number): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#look !== null) clearInterval(this.#look);
    if (this.#timer !== null) clearTimeout(this.#timer);
    const { connections, resolver } = this.#deps;
    resolver.cancel();
    connections.close();
    const closed = Promise.all([...this.#queues.values()].map((queue) => queue.close()));
    const deadline = setTimeout(() => connections.abort(), graceMs);
    await closed;
    clearTimeout(deadline);
  }

  // --- For administrators ---

  /** What the DNS has. @returns null when it does not answer. */
  async texts(name: string): Promise<readonly string[] | null> {
    const answer = await this.#deps.resolver.texts(name);
    return answer.kind === 'found' ? answer.value : answer.kind === 'absent' ? [] : null;
  }

  async *items(organization: OrganizationId | null): AsyncGenerator<QueuedItem> {
    await this.#openQueues();
    for (const [id, queue] of this.#queues) {
      if (organization !== null && organization !== id) continue;
      for (const item of queue.summaries()) yield { ...item, organization: id, waitsFor: queue.waitsFor };
    }
  }

  /** Opens the message with the keys of its queue, on record. @throws RefusedError 'nonexistent', 'key-denied' ... */
  async detail(id: MessageId, principal: string): Promise<ItemDetail> {
    const queue = this.#queueOf(id);
    const owner = this.#owner(queue.organization, principal, 'look at a queued message');
    if (owner === null) throw nonexistent();
    return queue.detail(id, owner);
  }

  async retry(id: MessageId): Promise<void> {
    const queue = this.#queueOf(id);
    this.#deps.connections.forgetFailures();
    await queue.retry(id);
  }

  async hold(id: MessageId): Promise<void> {
    await this.#queueOf(id).hold(id);
  }

  async drop(id: MessageId): Promise<void> {
    await this.#queueOf(id).drop(id);
  }

  #queueOf(id: MessageId): OrganizationQueue {
    for (const queue of this.#queues.values()) if (queue.has(id)) return queue;
    throw nonexistent();
  }

  // --- Queues ---

  async #openQueues(): Promise<void> {
    for (const { id } of this.#deps.directory.organizations()) {
      if (this.#isClosing || this.#queues.has(id)) continue;
      try {
        await this.#openQueue(id);
        this.#unopened.delete(id);
      } catch (error) {
        this.#queues.delete(id);
        // It is tried again and again: once is enough to say.
        if (this.#unopened.has(id)) continue;
        this.#unopened.add(id);
        this.#deps.log.error(
          { organization: id, err: error },
          'the queue of an organization cannot be opened',
        );
      }
    }
    const organizations = new Set(this.#deps.directory.organizations().map(({ id }) => id));
    for (const [id, queue] of this.#queues) {
      if (organizations.has(id)) continue;
      this.#queues.delete(id);
      await queue.close();
    }
  }

  async #openQueue(id: OrganizationId): Promise<void> {
    const owner = this.#owner(id, PRINCIPAL, 'send mail');
    if (owner === null) return;
    const { store, router, connections, reporter, schedule, log, keyring } = this.#deps;
    const queue = new OrganizationQueue(id, owner, {
      ...{ store, router, connections, reporter, schedule, log },
      now: this.#now,
      signers: (organization, author) => this.#signers(organization, author),
      endLease: (mailbox) => {
        keyring.endLease(mailbox);
        keyring.forgetDkimKeys(id);
      },
      wake: () => this.#wake(),
    });
    this.#queues.set(id, queue);
    await queue.open();
  }

  /** Of the author's domain, or of one above it: RFC 7489 §3.1.1 takes either for the author's. */
  async #signers(organization: OrganizationId, author: string): Promise<readonly DkimSigner[]> {
    const user = { principal: PRINCIPAL, protocol: 'queue', address: '', reason: 'sign mail' };
    for (let domain = author; domain.includes('.'); domain = domain.slice(domain.indexOf('.') + 1)) {
      if (this.#deps.directory.organizationOfDomain(domain) !== organization) continue;
      const signers = await this.#deps.keyring.dkimSigners(organization, domain, user);
      if (signers.length > 0) return signers;
    }
    return [];
  }

  /** @returns null while the organization has no queue, or none whose keys can be trusted. */
  #owner(organization: OrganizationId, principal: string, reason: string): OwnerHandle | null {
    const mailbox = this.#deps.directory.queueMailbox(organization);
    if (mailbox === null) return null;
    return this.#deps.keyring.ownerHandle({
      organization,
      mailbox,
      quotaOctets: null,
      principal,
      protocol: 'queue',
      address: '',
      reason,
      isBackground: true,
      purpose: 'queue',
    });
  }

  // --- The pump ---

  #wake(): void {
    if (this.#isPumping || this.#isClosing || !this.#isStarted) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      this.#pump();
    });
  }

  /** Organizations take turns, so that none waits for another's newsletter. */
  #pump(): void {
    if (this.#isClosing) return;
    let working = 0;
    for (const queue of this.#queues.values()) working += queue.working;
    let started = 0;
    for (let isAny = true; isAny && working < OUTBOUND_MESSAGES; ) {
      isAny = false;
      for (const queue of this.#queues.values()) {
        if (working >= OUTBOUND_MESSAGES || !queue.startNext()) continue;
        isAny = true;
        working++;
        started++;
      }
      // Each opens its envelope before it first waits.
      if (started >= OUTBOUND_STARTS) return this.#wake();
    }
    this.#sleep(working);
  }

  /** Until something is due. While all places are taken, whoever ends wakes us. */
  #sleep(working: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (working >= OUTBOUND_MESSAGES) return;
    const next = Math.min(
      ...[...this.#queues.values()].map((queue) => queue.nextAt),
      this.#now() + LONGEST_MS,
    );
    this.#timer = setTimeout(() => this.#wake(), Math.max(0, next - this.#now())).unref();
  }
}

/** Clocks are set, and timers of Node end at 24 days. */
const LONGEST_MS = 60_000;

const nonexistent = (): RefusedError =>
  new RefusedError('nonexistent', 'There is no such message in the queue');
