/**
 * Messages to load servers with: like real mail in structure and in how well they compress (prose about three to
 * one, attachments not at all), the same in every run, no two alike.
 */

const WORDS =
  'the of and a to in is that for it as was with be by on not he his but at are this have from or had an they which one you were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over man me even most made after also did many before must through back years where much your way well down should because each just those people how too little state good very make world still own see men work long get here between both life being under never day same another know while last might us great old year off come since against go came right used take three'.split(
    ' ',
  );

const LINE_OCTETS = 76;
/** Text above this is an attachment, as in most mail of its size. */
const TEXT_OCTETS = 8 * 1024;
const BOUNDARY = '=_bench-boundary';

/** Mulberry32: 32 bits of state are enough for prose. */
function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

/**
 * One message with CRLF lines; none begins with a dot, so it needs no stuffing.
 * @param sizeOctets Its size; the last line makes it exact. At least 1,024.
 * @param seed Names the message: the same seed gives the same octets.
 */
export function makeMessage(sizeOctets: number, seed: number): Buffer {
  const random = randomSource(seed);
  const word = (): string => WORDS[random() % WORDS.length]!;
  const attached = sizeOctets > TEXT_OCTETS;
  const head = [
    'Date: Mon, 23 Nov 2026 10:00:00 +0000',
    `From: "${word()} ${word()}" <${word()}@sender.test>`,
    `To: ${word()} <${word()}@bench.test>`,
    `Subject: ${word()} ${word()} ${word()} ${seed}`,
    `Message-ID: <${seed}.${random()}@sender.test>`,
    'MIME-Version: 1.0',
    'User-Agent: bench',
    ...(attached ? [`Content-Type: multipart/mixed; boundary="${BOUNDARY}"`, '', `--${BOUNDARY}`] : []),
    'Content-Type: text/plain; charset=utf-8',
    '',
    '',
  ].join('\r\n');
  if (!attached) return Buffer.from(head + prose(sizeOctets - head.length, word));

  const middle = [
    `--${BOUNDARY}`,
    'Content-Type: application/pdf; name="report.pdf"',
    'Content-Disposition: attachment; filename="report.pdf"',
    'Content-Transfer-Encoding: base64',
    '',
    '',
  ].join('\r\n');
  const tail = `--${BOUNDARY}--\r\n`;
  const text = prose(Math.floor(sizeOctets / 4), word);
  const attachmentOctets = sizeOctets - head.length - text.length - middle.length - tail.length;
  return Buffer.from(head + text + middle + base64(attachmentOctets, random) + tail);
}

/** Lines of words, `octets` long with the last CRLF. */
function prose(octets: number, word: () => string): string {
  let text = '';
  let line = word();
  while (text.length + line.length < octets) {
    const next = word();
    if (line.length + next.length >= LINE_OCTETS) {
      text += `${line}\r\n`;
      line = next;
    } else {
      line += ` ${next}`;
    }
  }
  return endExactly(text + line, octets);
}

function base64(octets: number, random: () => number): string {
  const raw = Buffer.alloc(Math.ceil(octets / 4) * 4);
  for (let at = 0; at < raw.length; at += 4) raw.writeUInt32LE(random(), at);
  const lines = raw.toString('base64').match(/.{1,76}/g)!;
  return endExactly(lines.join('\r\n'), octets);
}

/** Cuts a text so that it fills `octets` and ends in CRLF, with no CRLF cut in half. */
const endExactly = (text: string, octets: number): string =>
  `${text.slice(0, octets - 2).replace(/[\r\n.]+$/, (cut) => 'x'.repeat(cut.length))}\r\n`;
