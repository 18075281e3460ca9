import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { MailboxId, OrganizationId } from '../../src/ids.ts';
import { encryptionContext, isContextOf, type KeySubject } from '../../src/keys/context.ts';

const organization = 'm-0123456789abcdef0123456789abcdef' as OrganizationId;
const mailbox = 'fedcba9876543210fedcba9876543210' as MailboxId;
const workMail = {
  name: 'aws:workmail:arn',
  arnPrefix: 'arn:aws:workmail',
  region: 'eu-west-1',
  account: '111122223333',
};
const subject: KeySubject = { organization, mailbox, purpose: 'mailbox' };

describe('encryption context', () => {
  it("of a mailbox's identity names the organization as WorkMail does, the mailbox and the purpose", () => {
    assert.deepEqual(encryptionContext(workMail, subject), {
      'aws:workmail:arn': `arn:aws:workmail:eu-west-1:111122223333:organization/${organization}`,
      'letterlock:mailbox': mailbox,
      'letterlock:purpose': 'mailbox',
    });
  });

  it("of an organization's own key names no mailbox", () => {
    const context = encryptionContext(workMail, { organization, mailbox: null, purpose: 'directory' });
    assert.deepEqual(Object.keys(context), ['aws:workmail:arn', 'letterlock:purpose']);
  });

  it('is recognized as that of its subject under any configured name, prefix, region and account', () => {
    const renamed = { name: 'acme:mail', arnPrefix: 'urn:acme', region: 'x', account: '0' };
    assert.ok(isContextOf(encryptionContext(workMail, subject), subject));
    assert.ok(isContextOf(encryptionContext(renamed, subject), subject));
  });

  it('is not taken for that of another mailbox, purpose or organization', () => {
    const context = encryptionContext(workMail, subject);
    const other = 'm-ffffffffffffffffffffffffffffffff' as OrganizationId;
    for (const foreign of [
      { ...subject, mailbox: '00000000000000000000000000000000' as MailboxId },
      { ...subject, mailbox: null },
      { ...subject, purpose: 'directory' as const },
      { ...subject, organization: other },
    ]) {
      assert.ok(!isContextOf(context, foreign));
    }
    assert.ok(!isContextOf({}, subject));
    assert.ok(!isContextOf({ ...context, more: 'x' }, subject));
  });
});
