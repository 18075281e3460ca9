/** LIST, RFC 9051 §6.3.9: RFC 3501's, LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), SPECIAL-USE (RFC 6154). */
import { ProtocolError } from '../../errors.ts';
import type { FolderInfo } from '../../store/types.ts';
import { yieldingTo } from '../../yielding.ts';
import type { ListCommand } from '../wire/ast.ts';
import { printMailbox } from '../wire/printer.ts';
import { AUTHENTICATED, type CommandContext, type CommandSpec, ok } from './context.ts';
import { DELIMITER, nameOf } from './folder-name.ts';
import { type ListPattern, listPattern } from './list-pattern.ts';
import { attributeOfRole } from './special-use.ts';
import { writeStatus } from './status.ts';

/** A name to list; `info` is null for a subscribed name without a folder. */
interface Candidate {
  readonly name: string;
  readonly info: FolderInfo | null;
}

export const list: CommandSpec<ListCommand> = {
  states: AUTHENTICATED,
  async run(command, context) {
    const { selection } = command;
    if (selection.includes('RECURSIVEMATCH') && !selection.includes('SUBSCRIBED')) {
      // RFC 5258 §3.1: it only modifies another selection option.
      throw new ProtocolError('RECURSIVEMATCH needs another selection option.');
    }
    if (!command.isExtended && command.patterns[0]?.name === '') {
      context.out.text(`* LIST (\\NoSelect) "${DELIMITER}" ""\r\n`);
      return ok('List completed.');
    }
    const patterns = command.patterns
      .filter(({ name }) => name !== '')
      .map(({ name }) => listPattern(command.reference.name + name));
    await writeMatches(command, patterns, context);
    return ok('List completed.');
  },
};

async function writeMatches(command: ListCommand, patterns: readonly ListPattern[], context: CommandContext) {
  const { selection, returns } = command;
  const onlySubscribed = selection.includes('SUBSCRIBED');
  const folders = await context.mailbox.listFolders();
  const candidates = onlySubscribed
    ? await withLostSubscriptions(folders, context)
    : folders.map(candidateOf);
  const childInfo = selection.includes('RECURSIVEMATCH') ? subscribedAncestors(candidates, patterns) : null;
  const slice = yieldingTo();
  for (const { name, info } of candidates) {
    await slice.pause();
    if (!patterns.some((pattern) => pattern.matches(name))) continue;
    const isSubscribed = info === null || info.isSubscribed;
    const isParent = childInfo?.has(name) === true;
    if (onlySubscribed && !isSubscribed && !isParent) continue;
    if (selection.includes('SPECIAL-USE') && attributeOfRole(info?.role ?? null) === null) continue;
    const attributes = attributesOf(info);
    if (isSubscribed && (onlySubscribed || returns.includes('SUBSCRIBED'))) attributes.push('\\Subscribed');
    const extended = isParent ? ' ("CHILDINFO" ("SUBSCRIBED"))' : '';
    context.out.text(
      `* LIST (${attributes.join(' ')}) "${DELIMITER}" ${printMailbox(name, context.isUtf8)}${extended}\r\n`,
    );
    // RFC 5819 §2: no STATUS for what cannot be selected.
    if (command.status !== null && info?.isSelectable) await writeStatus(context, info, command.status);
    await context.out.settle();
  }
}

/** LIST attributes of a folder; of a name without one when null. */
export function attributesOf(info: FolderInfo | null): string[] {
  if (info === null) return ['\\NonExistent'];
  const attributes = [info.hasChildren ? '\\HasChildren' : '\\HasNoChildren'];
  if (!info.isSelectable) attributes.push('\\NoSelect');
  const use = attributeOfRole(info.role);
  if (use !== null) attributes.push(use);
  return attributes;
}

const candidateOf = (info: FolderInfo): Candidate => ({ name: nameOf(info.path), info });

async function withLostSubscriptions(
  folders: readonly FolderInfo[],
  context: CommandContext,
): Promise<Candidate[]> {
  const candidates = folders.map(candidateOf);
  const known = new Set(candidates.map(({ name }) => name));
  for (const path of await context.mailbox.listSubscriptions()) {
    const name = nameOf(path);
    if (!known.has(name)) candidates.push({ name, info: null });
  }
  return candidates;
}

/** RFC 5258 §3.5: names above a subscribed one that does not itself match. */
function subscribedAncestors(
  candidates: readonly Candidate[],
  patterns: readonly ListPattern[],
): Set<string> {
  const ancestors = new Set<string>();
  for (const { name, info } of candidates) {
    if (info !== null && !info.isSubscribed) continue;
    if (patterns.some((pattern) => pattern.matches(name))) continue;
    for (let end = name.lastIndexOf(DELIMITER); end > 0; end = name.lastIndexOf(DELIMITER, end - 1)) {
      ancestors.add(name.slice(0, end));
    }
  }
  return ancestors;
}
