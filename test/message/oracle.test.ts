import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AddressObject, simpleParser } from 'mailparser';
import { describe, it } from 'mocha';
import MailComposer from 'nodemailer/lib/mail-composer';
import { parseAddressList } from '../../src/message/address.ts';
import { DigestBuilder } from '../../src/message/digest-builder.ts';
import { fieldValues } from '../../src/message/header.ts';
import { locateSection } from '../../src/message/section.ts';
import { decodeHeaderValue, partPieces } from '../../src/message/text.ts';

/** Words of several scripts, without characters that mail software folds or trims. */
const words = fc
  .array(fc.constantFrom('letter', 'Grüße', '封筒', 'конверт', 'naïve', '🔏', 'x'.repeat(90)), {
    minLength: 1,
    maxLength: 12,
  })
  .map((list) => list.join(' '));

const mail = fc.record({
  subject: words,
  text: words,
  fromName: words,
  encoding: fc.constantFrom('base64' as const, 'quoted-printable' as const),
  attachments: fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 3 }),
});

describe('messages made by nodemailer read as mailparser reads them', () => {
  it('in subject, sender, text and attachments', async () => {
    await fc.assert(
      fc.asyncProperty(mail, async ({ subject, text, fromName, encoding, attachments }) => {
        const octets = await new MailComposer({
          from: { name: fromName, address: 'sender@example.org' },
          to: 'recipient@example.org',
          subject,
          text,
          textEncoding: encoding,
          attachments: attachments.map((content, index) => ({
            filename: `${index}.bin`,
            content: Buffer.from(content),
          })),
        })
          .compile()
          .build();
        const parsed = await simpleParser(octets);
        const builder = new DigestBuilder();
        builder.push(octets);
        const { parts } = builder.end([]);
        const header = octets.subarray(0, parts[0]!.bodyStart);

        assert.equal(decodeHeaderValue(fieldValues(header, 'subject')[0]!), parsed.subject);
        const [from] = parseAddressList(fieldValues(header, 'from')[0]!);
        const [expected] = (parsed.from as AddressObject).value;
        assert.equal(decodeHeaderValue(from!.name ?? ''), expected!.name);
        assert.equal(`${from!.mailbox}@${from!.host}`, expected!.address);

        const textPart = parts.find(({ mediaType }) => mediaType === 'text/plain')!;
        const range = octets.subarray(textPart.bodyStart, textPart.end);
        assert.equal([...partPieces(textPart, range)].join('').trim(), parsed.text!.trim());

        assert.equal(parsed.attachments.length, attachments.length);
        for (const [index, { content }] of parsed.attachments.entries()) {
          const body = locateSection(parts, { path: [index + 2], text: null })!;
          const encoded = octets.toString('latin1', body.start, body.end);
          assert.deepEqual(Buffer.from(encoded, 'base64'), content);
        }
      }),
      { numRuns: 100 },
    );
  });
});
