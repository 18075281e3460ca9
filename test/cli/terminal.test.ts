import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'mocha';
import { readNewPassword } from '../../src/cli/terminal.ts';
import { PASSWORD_OCTETS } from '../../src/limits.ts';

/** A terminal's input as Node gives it in raw mode: no echo, no editing by the system. */
class RawInput extends PassThrough {
  readonly isTTY = true;
  isRaw = false;

  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw;
    return this;
  }
}

describe('a password that is typed', () => {
  /** Types each piece once the one before was taken. */
  async function type(...pieces: string[]): Promise<{ password: string; said: string; input: RawInput }> {
    const [input, stderr, stdout] = [new RawInput(), new PassThrough(), new PassThrough()];
    const said = text(stderr);
    const answer = readNewPassword({ stdin: input, stdout, stderr }, 'alice@example.test');
    for (const piece of pieces) {
      input.write(piece);
      await new Promise(setImmediate);
    }
    const password = await answer.finally(() => {
      assert.equal(input.isRaw, false, 'the terminal echoes again');
      stderr.end();
    });
    assert.equal(stdout.readableLength, 0);
    return { password, said: await said, input };
  }

  it('is asked for twice, and never shown', async () => {
    const { password, said } = await type('sec', 'ret\r', 'secret\r');
    assert.equal(password, 'secret');
    assert.equal(said, 'Password for alice@example.test: \nOnce more: \n');
  });

  it('may be pasted together with its repetition', async () => {
    assert.equal((await type('secret\nsecret\n')).password, 'secret');
  });

  it('may be corrected: erase a character, kill the line', async () => {
    assert.equal((await type('wrong\x15sé\x7fecret\b\bet\r', 'secret\r')).password, 'secret');
  });

  it('must be the same both times', async () => {
    await assert.rejects(type('secret\r', 'secert\r'), { name: 'FailedError' });
  });

  it('must not be empty', async () => {
    await assert.rejects(type('\r', '\r'), { name: 'UsageError' });
  });

  for (const [key, name] of [
    ['\x03', 'Ctrl-C'],
    ['\x04', 'Ctrl-D'],
  ] as const) {
    it(`is given up with ${name}`, async () => {
      await assert.rejects(type(`sec${key}`), { name: 'FailedError' });
    });
  }
});

describe('a password that is piped in', () => {
  const piped = (input: string | Buffer): Promise<string> =>
    readNewPassword(
      { stdin: Readable.from([Buffer.from(input)]), stdout: new PassThrough(), stderr: new PassThrough() },
      'alice@example.test',
    );

  for (const [input, password] of [
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    [' secret ', ' secret '],
    ['pässwörd\n', 'pässwörd'],
    [`${'x'.repeat(PASSWORD_OCTETS)}\n`, 'x'.repeat(PASSWORD_OCTETS)],
  ] as const) {
    it(`is all but the line end of ${JSON.stringify(input).slice(0, 20)}`, async () =>
      assert.equal(await piped(input), password));
  }

  it('has one line, a bounded length, and is UTF-8', async () => {
    await assert.rejects(piped('a\nb\n'), { name: 'UsageError' });
    await assert.rejects(piped('\n'), { name: 'UsageError' });
    await assert.rejects(piped('x'.repeat(PASSWORD_OCTETS + 3)), { name: 'FailedError' });
    await assert.rejects(piped(Buffer.of(0xff)), { name: 'FailedError' });
  });
});
