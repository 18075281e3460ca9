import { after, before, describe, it } from 'mocha';
import { ImapFixture } from '../support.ts';
import { converse, readConversations } from './runner.ts';

describe('IMAP conversations', () => {
  let fixture: ImapFixture;
  before(async () => {
    fixture = await ImapFixture.open();
  });
  after(() => fixture.close());
  for (const conversation of readConversations(import.meta.dirname)) {
    it(`${conversation.file}: ${conversation.claim}`, () => converse(conversation, fixture));
  }
});
