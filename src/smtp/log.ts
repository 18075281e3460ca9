/** What the SMTP edges log: codes and ids. Never an address, a header, or the message of an error that is not ours. */
import { LetterlockError } from '../errors.ts';

/** The part of a pino logger that is used. */
export interface SmtpLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Logs a failure at the level of its kind. */
export function logFailure(log: SmtpLog, error: unknown, fields: object): void {
  if (!(error instanceof LetterlockError)) {
    log.error({ ...fields, ...bugFields(error) }, 'unexpected failure');
    return;
  }
  const entry = { ...fields, code: error.code };
  switch (error.kind) {
    case 'protocol':
    case 'refused':
      if (error.code === 'bad-credentials') log.info(entry, 'authentication failed');
      else log.debug(entry, 'refused');
      return;
    case 'unavailable':
      log.warn(entry, 'unavailable');
      return;
    case 'integrity':
      log.error(entry, 'integrity failure');
      return;
    default:
      error.kind satisfies never;
  }
}

/** Where a bug is, without its message: that may quote what it choked on. */
function bugFields(error: unknown): object {
  if (!(error instanceof Error)) return { thrown: typeof error };
  const frames = error.stack?.split('\n').filter((line) => /^ {4}at /.test(line)) ?? [];
  return {
    name: error.name,
    code: (error as NodeJS.ErrnoException).code,
    stack: frames.slice(0, 12).join('\n'),
  };
}
