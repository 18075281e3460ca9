import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type NewlineMode, NewlineScanner } from '../../src/delivery/newlines.ts';

/** Runs a message through a scanner, cut into chunks of `size`. */
function scan(mode: NewlineMode, message: string, size: number): { kept: string; hasBare: boolean } {
  const scanner = new NewlineScanner(mode);
  let kept = '';
  for (let at = 0; at < message.length; at += size) {
    kept += scanner.push(Buffer.from(message.slice(at, at + size), 'latin1')).toString('latin1');
  }
  kept += scanner.end()?.toString('latin1') ?? '';
  return { kept, hasBare: scanner.hasBare };
}

const TABLE: readonly (readonly [message: string, hasBare: boolean, repaired: string])[] = [
  ['', false, ''],
  ['a\r\nb\r\n', false, 'a\r\nb\r\n'],
  ['\r\n\r\n', false, '\r\n\r\n'],
  ['a\nb\r\n', true, 'a\r\nb\r\n'],
  ['a\rb\r\n', true, 'a\r\nb\r\n'],
  ['\n', true, '\r\n'],
  ['\r', true, '\r\n'],
  ['a\r\r\nb\r\n', true, 'a\r\n\r\nb\r\n'],
  ['a\n\rb\r\n', true, 'a\r\n\r\nb\r\n'],
  ['a\n.\r\nMAIL FROM:<x@y>\r\n', true, 'a\r\n.\r\nMAIL FROM:<x@y>\r\n'],
  ['a\r\n\n\r\n', true, 'a\r\n\r\n\r\n'],
  ['a\r\n\r', true, 'a\r\n\r\n'],
];

describe('newline scanner', () => {
  for (const [message, hasBare, repaired] of TABLE) {
    it(`reads ${JSON.stringify(message)} alike however it is cut`, () => {
      for (let size = 1; size <= message.length + 1; size++) {
        assert.deepEqual(scan('refuse', message, size), { kept: message, hasBare });
        assert.deepEqual(scan('repair', message, size), { kept: repaired, hasBare });
      }
    });
  }

  const octets = fc.array(fc.constantFrom('\r', '\n', 'a', '.', '\r\n')).map((parts) => parts.join(''));

  it('leaves no bare CR or LF when it repairs, and nothing but line ends changes', () => {
    fc.assert(
      fc.property(octets, fc.integer({ min: 1, max: 9 }), (message, size) => {
        const { kept } = scan('repair', message, size);
        assert.equal(/\r(?!\n)|(?<!\r)\n/.test(kept), false);
        assert.equal(kept, message.replace(/\r\n|\r|\n/g, '\r\n'));
      }),
    );
  });

  it('finds a bare CR or LF exactly where a regular expression finds one', () => {
    fc.assert(
      fc.property(octets, fc.integer({ min: 1, max: 9 }), (message, size) => {
        assert.equal(scan('refuse', message, size).hasBare, /\r(?!\n)|(?<!\r)\n/.test(message));
      }),
    );
  });
});
