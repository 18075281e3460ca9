/** The folder that APPEND, COPY and MOVE write to. */
import { RefusedError } from '../../errors.ts';
import type { FolderInfo } from '../../store/types.ts';
import type { CommandContext } from './context.ts';
import { newPathOf } from './folder-name.ts';

/** RFC 9051 §7.1: the client may create the folder and try again. */
export class TargetMissing extends RefusedError {
  constructor() {
    super('nonexistent', 'There is no such folder.');
  }
}

/** @throws TargetMissing, RefusedError 'cannot' for a name that holds no messages. */
export async function requireTarget(context: CommandContext, name: string): Promise<FolderInfo> {
  const path = newPathOf(name);
  let info: FolderInfo;
  try {
    info = await context.mailbox.findFolder(path);
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'nonexistent') throw new TargetMissing();
    throw error;
  }
  if (!info.isSelectable) throw new TargetMissing();
  return info;
}
