/*
 * What every test starts from, and every program that one starts: nothing of the terminal or of a continuous integration that the
 * tests run in decides what is printed.
 */
for (const name of ['CI', 'FORCE_COLOR', 'NO_COLOR', 'DEBUG']) delete process.env[name];
