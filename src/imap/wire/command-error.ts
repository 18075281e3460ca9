/** Syntax errors of one command: ProtocolErrors that know which tag to answer. */
import { ProtocolError } from '../../errors.ts';

/**
 * What the session does about it: 'syntax', 'unknown-command', 'too-many' and 'mailbox-name' are answered BAD;
 * 'badcharset' NO with BADCHARSET (RFC 9051 §7.1).
 */
export type CommandErrorCode = 'syntax' | 'unknown-command' | 'too-many' | 'mailbox-name' | 'badcharset';

export class CommandError extends ProtocolError {
  /** Null when the line has no valid tag: the answer is untagged then. */
  readonly tag: string | null;

  constructor(tag: string | null, sentence: string, code: CommandErrorCode = 'syntax') {
    super(sentence, code);
    this.tag = tag;
  }
}
