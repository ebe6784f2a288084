/**
 * A pattern of paths as a regular expression: `*` and `?` stay in a folder, `**` does not; `[...]` is one of some
 * characters, `{a,b}` one of some words. Anything else stands for itself.
 *
 * @param glob relative to the root, with slashes; a folder stands for all that is in it
 */
export function globPattern(glob: string): RegExp {
  const clean = glob.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
  let source = '';
  let inBraces = false;
  for (let at = 0; at < clean.length; ) {
    const token = /^(\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|.)/s.exec(clean.slice(at))![0];
    at += token.length;
    if (token === '**/') source += '(?:.*/)?';
    else if (token === '**') source += '.*';
    else if (token === '*') source += '[^/]*';
    else if (token === '?') source += '[^/]';
    else if (token.length > 1) source += token.replace(/^\[!/, '[^').replaceAll('\\', '\\\\');
    else if (token === '{' && clean.indexOf('}', at) > 0) {
      source += '(?:';
      inBraces = true;
    } else if (inBraces && token === '}') {
      source += ')';
      inBraces = false;
    } else source += inBraces && token === ',' ? '|' : token.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  return new RegExp(`^${source}(?:/.*)?$`, 's');
}
