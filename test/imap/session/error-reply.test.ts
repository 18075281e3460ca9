import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  IntegrityError,
  ProtocolError,
  type RefusedCode,
  RefusedError,
  UnavailableError,
} from '../../../src/errors.ts';
import { TargetMissing } from '../../../src/imap/command/target.ts';
import { errorReply } from '../../../src/imap/session/error-reply.ts';

const refused: readonly (readonly [RefusedCode, string | undefined])[] = [
  ['nonexistent', 'NONEXISTENT'],
  ['already-exists', 'ALREADYEXISTS'],
  ['over-quota', 'OVERQUOTA'],
  ['too-big', 'TOOBIG'],
  ['too-many', 'LIMIT'],
  ['bad-credentials', 'AUTHENTICATIONFAILED'],
  ['not-permitted', 'NOPERM'],
  ['key-denied', 'CONTACTADMIN'],
  ['locked', 'CONTACTADMIN'],
  ['cannot', 'CANNOT'],
  ['in-use', 'INUSE'],
  ['invalid', 'CANNOT'],
  ['bad-message', undefined],
];

describe('replies to errors', () => {
  for (const [code, expected] of refused) {
    it(`answers ${code} with NO ${expected ?? 'without a code'}`, () => {
      const reply = errorReply(new RefusedError(code, 'A sentence.'));
      assert.equal(reply.condition, 'NO');
      assert.equal(reply.code, expected);
      assert.equal(reply.text, 'A sentence.');
    });
  }

  it('answers a missing target with TRYCREATE', () => {
    assert.equal(errorReply(new TargetMissing()).code, 'TRYCREATE');
  });

  it('never takes a key service that fails for a wrong password', () => {
    assert.equal(errorReply(new UnavailableError('key-service-down', 'Down.')).code, 'UNAVAILABLE');
    assert.equal(errorReply(new RefusedError('key-denied', 'Denied.')).code, 'CONTACTADMIN');
  });

  it('says BYE only when the server shuts down', () => {
    assert.equal(errorReply(new UnavailableError('shutting-down', 'Bye.')).condition, 'BYE');
    assert.equal(errorReply(new UnavailableError('busy', 'Busy.')).condition, 'NO');
  });

  it('answers a broken seal with CORRUPTION', () => {
    assert.equal(errorReply(new IntegrityError('seal-broken', 'Broken.')).code, 'CORRUPTION');
  });

  it('answers an unknown charset with NO and other syntax errors with BAD', () => {
    assert.deepEqual(errorReply(new ProtocolError('No.', 'badcharset')).code, 'BADCHARSET (US-ASCII UTF-8)');
    assert.equal(errorReply(new ProtocolError('No.')).condition, 'BAD');
  });

  it('answers anything else that is thrown as a bug, and shows nothing of it', () => {
    fc.assert(
      fc.property(fc.anything(), (thrown) => {
        const reply = errorReply(thrown);
        assert.deepEqual([reply.condition, reply.code, reply.text], ['NO', 'SERVERBUG', 'Internal error.']);
      }),
    );
    assert.equal(errorReply(new Error('secret')).text, 'Internal error.');
  });
});
