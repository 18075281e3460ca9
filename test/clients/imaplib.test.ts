import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { type Letterlock, startLetterlock } from '../support/letterlock.ts';
import { runProgramWell } from '../support/run-program.ts';

const SESSION = join(import.meta.dirname, 'imaplib_session.py');

describe('Python imaplib', () => {
  let server: Letterlock;
  before(async () => {
    server = await startLetterlock();
  });
  after(() => server?.stop());

  it('goes through STARTTLS, AUTHENTICATE, APPEND, FETCH, SEARCH, STORE, COPY, EXPUNGE, RENAME and DELETE', async () => {
    const { address, password } = server.users[0]!;
    const args = [SESSION, server.host, String(server.ports.imap), server.ca, address];
    await runProgramWell('python3', args, `${password}\n`);
  });
});
