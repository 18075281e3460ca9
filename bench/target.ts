/** What a benchmark needs of a server: where it listens, who has a mailbox, and what its answers promise. */

export interface Target {
  /** The column's heading. */
  readonly name: string;
  /** Programs and versions. */
  readonly versions: string;
  /** What is on stable storage when it says 250, and how mail lies there: one sentence. */
  readonly promises: string;
  /** Plain SMTP on 127.0.0.1. */
  readonly smtpPort: number;
  /** IMAP with TLS from the first octet, on 127.0.0.1. */
  readonly imapsPort: number;
  /** IMAP on 127.0.0.1 that allows LOGIN without TLS. */
  readonly imapPort: number;
  readonly users: readonly TargetUser[];
  /**
   * Brings the user's mailbox to where it is when it was left in peace for long, and nothing of it is in memory or in a
   * cache that is made by reading: our process is started anew, the peer's header cache removed. Ports may change.
   */
  makeCold(user: TargetUser): Promise<void>;
  stop(): Promise<void>;
}

export interface TargetUser {
  readonly address: string;
  readonly password: string;
}

/** How many mailboxes the workloads of workloads.ts want. */
export const USERS = 17;
