import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { IntegrityError, ProtocolError, RefusedError, UnavailableError } from '../../src/errors.ts';
import { type ReplyStage, replyTo } from '../../src/smtp/replies.ts';

const STAGES: readonly ReplyStage[] = ['connect', 'auth', 'mail', 'rcpt', 'data'];

const TABLE: readonly (readonly [error: Error, stage: ReplyStage, reply: string])[] = [
  [new ProtocolError(''), 'mail', '501 5.5.4'],
  [new ProtocolError('', 'sequence'), 'rcpt', '503 5.5.1'],
  [new RefusedError('no-such-recipient', ''), 'rcpt', '550 5.1.1'],
  [new RefusedError('over-quota', ''), 'rcpt', '452 4.2.2'],
  [new RefusedError('over-quota', ''), 'data', '552 5.2.2'],
  [new RefusedError('too-big', ''), 'data', '552 5.3.4'],
  [new RefusedError('too-many', ''), 'rcpt', '452 4.5.3'],
  [new RefusedError('too-many', ''), 'connect', '421 4.7.0'],
  [new RefusedError('bad-credentials', ''), 'auth', '535 5.7.8'],
  [new RefusedError('locked', ''), 'auth', '454 4.7.0'],
  [new RefusedError('locked', ''), 'mail', '451 4.7.0'],
  [new RefusedError('bad-message', ''), 'data', '550 5.6.0'],
  [new RefusedError('mail-loop', ''), 'data', '554 5.4.6'],
  [new RefusedError('not-permitted', ''), 'mail', '550 5.7.1'],
  [new UnavailableError('disk-full', ''), 'data', '452 4.3.1'],
  [new UnavailableError('busy', ''), 'auth', '454 4.7.0'],
  [new UnavailableError('shutting-down', ''), 'data', '451 4.3.2'],
  [new UnavailableError('shutting-down', ''), 'connect', '421 4.3.2'],
  [new UnavailableError('key-service-down', ''), 'data', '451 4.3.0'],
  [new IntegrityError('recipient-unverified', ''), 'rcpt', '451 4.3.0'],
  [new TypeError('x is undefined'), 'data', '451 4.3.0'],
  // Names that every object has.
  [new UnavailableError('constructor' as never, ''), 'connect', '451 4.3.0'],
  [new RefusedError('valueOf' as never, ''), 'data', '550 5.3.0'],
];

describe('SMTP replies', () => {
  for (const [error, stage, reply] of TABLE) {
    it(`answer ${reply} to ${error.name} ${(error as { code?: string }).code ?? ''} at ${stage}`, () => {
      const { code, status } = replyTo(error, stage);
      assert.equal(`${code} ${status}`, reply);
    });
  }

  const own = fc
    .tuple(
      fc.constantFrom(ProtocolError, RefusedError, UnavailableError, IntegrityError),
      fc.string(),
      fc.string(),
    )
    .map(([Kind, code, sentence]) =>
      Kind === ProtocolError ? new Kind(sentence, code) : new Kind(code as never, sentence),
    );
  const thrown = fc.oneof(
    own,
    fc.anything(),
    fc.string().map((message) => new Error(message)),
    fc.constant(Object.create(null)),
    fc.constant(new Proxy({}, { get: () => assert.fail('looked into') })),
  );

  it('are a 4yz or 5yz code with the status of its class, whatever is thrown', () => {
    fc.assert(
      fc.property(thrown, fc.constantFrom(...STAGES), (error, stage) => {
        const { code, status, text } = replyTo(error, stage);
        assert.ok(Number.isInteger(code) && code >= 400 && code <= 599);
        assert.match(status, /^[45]\.\d{1,3}\.\d{1,3}$/);
        assert.equal(status[0], String(code)[0]);
        assert.equal(typeof text, 'string');
      }),
    );
  });

  it('never quote an error that is not ours, and keep the mail with its sender', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 5 }), fc.constantFrom('mail', 'rcpt', 'data'), (message, stage) => {
        const reply = replyTo(new Error(message, { cause: message }), stage as ReplyStage);
        assert.equal(reply.code, 451);
        assert.equal(reply.text, 'Local error in processing, try again later');
      }),
    );
  });
});
