import { RefusedError } from '../../errors.ts';
import type { CommandContext, SelectedFolder } from './context.ts';

/** The selected folder, for commands that change it. @throws RefusedError 'not-permitted' after EXAMINE. */
export function writableFolder(context: CommandContext): SelectedFolder {
  const { selected } = context;
  if (selected.isReadOnly) throw new RefusedError('not-permitted', 'The folder is selected read-only.');
  return selected;
}
