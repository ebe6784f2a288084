/**
 * Whether a name leads to a file in its directory or below, and nowhere else: names may come with a model, and may not make
 * us touch files elsewhere.
 *
 * @param name with `/` between its parts
 */
export function isInside(name: unknown): name is string {
  return (
    typeof name === 'string' &&
    !/[\0\\:]/.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}
