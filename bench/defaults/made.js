/**
 * Small data sets of the kinds that people bring, made of templates with a seed: easy, so that a classifier which misses is
 * at fault. Each has `rows()`: { text, pair?, label }.
 */
import { randomNumbers } from '../support/statistics.js';

const TICKETS = {
  'billing question': [
    ['invoice', 'charge', 'bill', 'subscription fee', 'receipt', 'VAT number'],
    ['I was charged twice for my {n}', 'can you explain the {n} from last month', 'the {n} shows the wrong amount'],
  ],
  'refund request': [
    ['order', 'purchase', 'subscription', 'ticket', 'headphones', 'jacket'],
    ['I want my money back for the {n}', 'please refund my {n}', 'I returned the {n} two weeks ago and still no money'],
  ],
  'login problem': [
    ['password', 'account', 'two factor code', 'verification email', 'SSO', 'username'],
    ['I cannot log in, the {n} is not accepted', 'locked out because of the {n}', 'reset of the {n} never arrives'],
  ],
  'shipping delay': [
    ['parcel', 'package', 'delivery', 'shipment', 'order'],
    ['my {n} still has not arrived', 'tracking says the {n} is stuck in customs', 'the {n} is a week late'],
  ],
  'damaged item': [
    ['screen', 'box', 'lamp', 'bottle', 'chair', 'keyboard'],
    ['the {n} arrived broken', 'there is a crack in the {n}', 'the {n} has scratches all over'],
  ],
  'feature request': [
    ['dark mode', 'CSV export', 'calendar view', 'API', 'bulk edit', 'keyboard shortcuts'],
    ['it would be great to have {n}', 'please add {n} to the app', 'do you plan to support {n}'],
  ],
  'bug report': [
    ['app', 'page', 'button', 'search', 'upload', 'dashboard'],
    ['the {n} crashes when I click save', 'the {n} shows error 500', 'after the update the {n} is blank'],
  ],
  'cancel account': [
    ['account', 'membership', 'plan', 'profile', 'trial'],
    ['please delete my {n}', 'I want to close my {n} for good', 'terminate the {n} at the end of the month'],
  ],
  'sales inquiry': [
    ['license', 'enterprise plan', 'seats', 'quote', 'volume discount'],
    ['we are 200 people, what does the {n} cost', 'can we talk to sales about {n}', 'I need an offer for {n}'],
  ],
  'technical setup': [
    ['router', 'printer', 'plugin', 'driver', 'server', 'webhook'],
    ['how do I configure the {n}', 'which port does the {n} use', 'installation guide for the {n}'],
  ],
  praise: [
    ['support', 'team', 'product', 'delivery', 'design'],
    ['I just wanted to say the {n} is fantastic', 'love the {n}, keep it up', 'great {n}, five stars'],
  ],
  other: [
    ['weather', 'newsletter', 'job', 'opening hours', 'partnership', 'press kit'],
    ['a question about the {n}', 'who is responsible for the {n}', 'I read about the {n} in a magazine'],
  ],
};
const GREETINGS = ['', '', 'Hi, ', 'Hello, ', 'Dear support, ', 'hey ', 'Good morning. '];
const MIDDLES = ['', '', '', ' I have been a customer since 2019.', ' It is really annoying.', ' We use the Pro plan.'];
const ENDS = ['', '', ' Thanks!', ' Regards, Anna', ' please help', ' This is urgent!!', ' Sent from my iPhone'];

const SPAM = [
  [
    'You have won a {n}, call 87121 now',
    'FREE {n} for the first 100 callers',
    'Urgent: claim your {n} before midnight',
  ],
  ['iPhone', 'holiday to Spain', '1000 pound prize', 'gift card', 'PS5'],
];
const HAM = [
  [
    'are we still on for {n} tonight',
    'can you pick up {n} on the way home',
    'I won the match at {n} today haha',
    'lunch at {n}?',
  ],
  ['dinner', 'milk', 'the party', 'the cinema', 'school', 'football', 'Tom', 'the new cafe'],
];

const GERMAN = {
  Lob: [
    'Sehr schöne Qualität, gern wieder',
    'Großartiger Service, vielen Dank',
    'great product, thanks a lot',
    'schneller Versand, super verpackt',
  ],
  Beschwerde: [
    'Das Paket ist beschädigt angekommen',
    'Völlig enttäuscht, nie wieder',
    'terrible, I want a refund',
    'Leider fünf Tage zu spät',
  ],
  Frage: [
    'Wann öffnet der Laden?',
    'Können Sie mir die Größe nennen?',
    'do you ship to Austria?',
    'Gibt es das auch in Grün?',
  ],
};

const RATINGS = [
  ['terrible', 'awful', 'a waste of money', 'broken after a day', 'horrible'],
  ['disappointing', 'not good', 'rather poor', 'worse than expected', 'mediocre at best'],
  ['okay', 'average', 'nothing special', 'fine for the price', 'so so'],
  ['good', 'quite nice', 'solid', 'better than expected', 'pleasant'],
  ['excellent', 'perfect', 'the best ever', 'amazing', 'outstanding'],
];
const PRODUCTS = ['vacuum', 'hotel room', 'restaurant', 'phone', 'novel', 'pair of boots', 'blender', 'film'];

const SUBJECTS = ['a man', 'a woman', 'two children', 'a dog', 'the team', 'an old lady'];
/** What somebody does, the opposite of it, and what follows from it. */
const ACTIONS = [
  ['is sleeping', 'is awake', 'is resting'],
  ['is eating an apple', 'is not eating', 'is having some fruit'],
  ['is running outside', 'is sitting still indoors', 'is exercising in the open air'],
  ['is playing the guitar', 'hates music and plays nothing', 'is making music'],
  ['is driving a car', 'is walking on foot', 'is in a vehicle'],
];
const UNRELATED = ['has a brother', 'is from Spain', 'likes the weather', 'will go home soon'];

const FILLER =
  'the report describes in some detail how the committee met over several months to discuss the matter at hand and what was decided in the end by those who were present'.split(
    ' ',
  );
const THEMES = {
  sport: ['goal', 'coach', 'league', 'striker', 'referee', 'stadium', 'penalty'],
  politics: ['minister', 'parliament', 'election', 'coalition', 'senate', 'vote', 'treaty'],
  science: ['experiment', 'molecule', 'telescope', 'genome', 'hypothesis', 'neuron', 'physics'],
  business: ['shares', 'profit', 'merger', 'investor', 'bank', 'inflation', 'startup'],
};

const repeat = (count, make) => Array.from({ length: count }, (_, i) => make(i));

/** The sets by name, each a function of its own random numbers. */
const MAKERS = {
  tickets: ({ random, pick }) =>
    repeat(2000, (i) => {
      const names = Object.keys(TICKETS);
      const [nouns, sentences] = TICKETS[names[i % names.length]];
      const text = `${pick(GREETINGS)}${pick(sentences).replace('{n}', pick(nouns))}.${pick(MIDDLES)}${pick(ENDS)}`;
      return { text, label: random() < 0.03 ? pick(names) : names[i % names.length] };
    }),
  spam: ({ random, fill }) =>
    repeat(1500, () => (random() < 0.15 ? { text: fill(SPAM), label: 'spam' } : { text: fill(HAM), label: 'ham' })),
  imbalanced: ({ fill }) =>
    repeat(1530, (i) => (i % 51 === 0 ? { text: fill(SPAM), label: 'fraud' } : { text: fill(HAM), label: 'legit' })),
  german: ({ pick }) =>
    repeat(600, () => {
      const label = pick(Object.keys(GERMAN));
      return { text: pick(GERMAN[label]) + pick(['', '.', '!', ' Grüße', ' Danke', ' MfG Jürgen Müller']), label };
    }),
  reviews: ({ random, pick }) =>
    repeat(2500, () => {
      const stars = Math.floor(random() * 5);
      const words = RATINGS[stars];
      const text = `The ${pick(PRODUCTS)} was ${pick(words)}. ${pick(['I bought it in May.', 'My wife uses it daily.', ''])} Overall ${pick(words)}.`;
      const noise = random() < 0.1 ? pick([-1, 1]) : 0;
      return { text, label: String(1 + Math.min(4, Math.max(0, stars + noise))) };
    }),
  pairs: ({ pick }) =>
    repeat(1500, () => {
      const subject = pick(SUBJECTS);
      const [does, opposite, follows] = pick(ACTIONS);
      const ends = { entailment: follows, contradiction: opposite, neutral: pick(UNRELATED) };
      const label = pick(Object.keys(ends));
      return { text: `${subject} ${does}`, pair: `${subject} ${ends[label]}`, label };
    }),
  long: ({ random, pick }) =>
    repeat(600, () => {
      const label = pick(Object.keys(THEMES));
      return { text: repeat(600, () => (random() < 0.06 ? pick(THEMES[label]) : pick(FILLER))).join(' '), label };
    }),
};

/** Names of the sets. */
export const MADE = Object.keys(MAKERS);

/** The rows of a set. */
export function madeRows(name) {
  const random = randomNumbers(1 + MADE.indexOf(name));
  const pick = (values) => values[Math.floor(random() * values.length)];
  return MAKERS[name]({ random, pick, fill: ([sentences, nouns]) => pick(sentences).replace('{n}', pick(nouns)) });
}
