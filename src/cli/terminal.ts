/** The three streams of the command line's process, and what is asked and printed through them. */
import type { Readable, Writable } from 'node:stream';
import type { ReadStream } from 'node:tty';
import { PASSWORD_OCTETS } from '../limits.ts';
import { FailedError, UsageError } from './command.ts';
import { readAll } from './read-all.ts';

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
}

/** A line of a password and its end, CRLF at most. */
const PIPED_PASSWORD_OCTETS = PASSWORD_OCTETS + 2;
const [INTERRUPT, END_OF_TRANSMISSION, BACKSPACE, DELETE, KILL_LINE] = ['\x03', '\x04', '\b', '\x7f', '\x15'];

/**
 * Reads a new password: typed twice, unseen, on a terminal; else all of standard input, less a line end.
 * @throws UsageError when it is empty, FailedError when it is interrupted, differs, or is too long.
 */
export async function readNewPassword(terminal: Terminal, whose: string): Promise<string> {
  const password = isTerminal(terminal.stdin)
    ? await typedTwice(terminal.stdin, terminal.stderr, whose)
    : (await readAll(terminal.stdin, PIPED_PASSWORD_OCTETS, 'The password')).replace(/\r?\n$/, '');
  if (password === '') throw new UsageError('The password is empty.');
  if (/[\r\n]/.test(password)) throw new UsageError('The password has more than one line.');
  return password;
}

async function typedTwice(stdin: ReadStream, stderr: Writable, whose: string): Promise<string> {
  const first = await typed(stdin, stderr, `Password for ${whose}: `);
  const second = await typed(stdin, stderr, 'Once more: ');
  if (first !== second) throw new FailedError('The two passwords differ; nothing was changed.');
  return first;
}

/** One line, not echoed. Editing as the system's own password prompt has it: erase a character, kill the line. */
function typed(stdin: ReadStream, stderr: Writable, prompt: string): Promise<string> {
  stderr.write(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let characters: string[] = [];
    const end = (settle: () => void): void => {
      stdin.off('data', take).off('end', interrupt).pause();
      stdin.setRawMode(false);
      stderr.write('\n');
      settle();
    };
    const interrupt = (): void => end(() => reject(new FailedError('Interrupted; nothing was changed.')));
    const take = (text: string): void => {
      let taken = 0;
      for (const character of text) {
        taken += character.length;
        if (character === '\r' || character === '\n') {
          end(() => resolve(characters.join('')));
          if (taken < text.length) stdin.unshift(text.slice(taken)); // typed ahead: the answer to the next question
          return;
        }
        if (character === INTERRUPT || character === END_OF_TRANSMISSION) return interrupt();
        if (character === BACKSPACE || character === DELETE) characters.pop();
        else if (character === KILL_LINE) characters = [];
        else characters.push(character);
      }
    };
    stdin.on('data', take).on('end', interrupt).resume();
  });
}

const isTerminal = (stream: Readable): stream is ReadStream => (stream as Partial<ReadStream>).isTTY === true;
