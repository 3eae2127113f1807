//! Invented people, addresses, titles and artists. Any likeness is chance.

use super::rng::{Rng, Stream};

/// What `customers.csv` says of a customer beyond zip and level. None of it moves a click.
pub(super) struct Person {
    pub(super) first_name: &'static str,
    pub(super) last_name: &'static str,
    pub(super) gender: u8,
    pub(super) house: u32,
    pub(super) street: [&'static str; 3],
    /// Days before the history that they signed up, `1..=730`.
    pub(super) signed_days_before: u32,
    pub(super) active: bool,
    /// The campaign that brought them, `0..=4`.
    pub(super) campaign: u8,
    pub(super) linked: bool,
}

impl Person {
    pub(super) fn new(seed: u64, customer: u32) -> Self {
        let mut rng = Rng::of(seed, Stream::Person, u64::from(customer));
        let gender = u8::from(rng.chance(0.4));
        Self {
            first_name: one_of(FIRST_NAMES[usize::from(gender)], &mut rng),
            last_name: one_of(LAST_NAMES, &mut rng),
            gender,
            house: 1 + rng.below(14_999),
            street: [one_of(ADJECTIVES, &mut rng), one_of(NOUNS, &mut rng), one_of(STREETS, &mut rng)],
            signed_days_before: 1 + rng.below(730),
            active: rng.chance(0.9),
            campaign: match rng.unit() {
                ..0.58 => 1,
                ..0.73 => 4,
                ..0.85 => 0,
                ..0.95 => 3,
                _ => 2,
            },
            linked: rng.chance(0.5),
        }
    }
}

/// What `music.csv` says of a track.
pub(super) struct Track {
    pub(super) title: [&'static str; 2],
    pub(super) artist: [&'static str; 2],
    /// `120..=359`.
    pub(super) length_s: u32,
}

/// Tracks by one artist, adjacent in the catalogue.
const TRACKS_PER_ARTIST: u32 = 7;

impl Track {
    pub(super) fn new(track: u32) -> Self {
        Self {
            title: pair(track),
            // Taken from the other end, so that few titles equal their artist's name.
            artist: pair(PAIRS - 1 - track / TRACKS_PER_ARTIST),
            length_s: 120 + Rng::of(0, Stream::Catalogue, u64::from(track)).below(240),
        }
    }
}

const PAIRS: u32 = (ADJECTIVES.len() * NOUNS.len()) as u32;
/// Has no divisor in common with [`PAIRS`], so that multiplying by it shuffles the pairs.
const SHUFFLE: u32 = 1_013;

/// Pair `index` of adjective and noun; pairs of different indices (below [`PAIRS`]) differ.
fn pair(index: u32) -> [&'static str; 2] {
    let shuffled = (index * SHUFFLE % PAIRS) as usize;
    [ADJECTIVES[shuffled / NOUNS.len()], NOUNS[shuffled % NOUNS.len()]]
}

fn one_of(words: &[&'static str], rng: &mut Rng) -> &'static str {
    words[rng.below(words.len() as u32) as usize]
}

/// By gender, 0 and 1.
const FIRST_NAMES: [&[&str]; 2] = [
    &[
        "Adam", "Albert", "Arthur", "Ben", "Carl", "Daniel", "David", "Edgar", "Emil", "Felix", "Frank",
        "George", "Harold", "Henry", "Hugo", "Ivan", "Jacob", "James", "John", "Karim", "Leo", "Louis",
        "Marco", "Martin", "Miguel", "Nathan", "Oscar", "Otto", "Paul", "Peter", "Rafael", "Robert",
        "Samuel", "Simon", "Stefan", "Theo", "Thomas", "Victor", "Walter", "Yusuf",
    ],
    &[
        "Ada", "Agnes", "Alice", "Anna", "Bella", "Carla", "Clara", "Dora", "Elena", "Ella", "Emma",
        "Fatima", "Flora", "Grace", "Hanna", "Helen", "Ida", "Ines", "Iris", "Jane", "Julia", "Karen",
        "Laura", "Lena", "Linda", "Lucy", "Maria", "Marta", "Mia", "Nadia", "Nora", "Olga", "Paula", "Rosa",
        "Ruth", "Sara", "Sofia", "Tara", "Vera", "Zoe",
    ],
];

const LAST_NAMES: &[&str] = &[
    "Abel", "Archer", "Baker", "Barnes", "Becker", "Bennett", "Brook", "Carver", "Castillo", "Chandler",
    "Cole", "Conrad", "Costa", "Dalton", "Diaz", "Dixon", "Eaton", "Ellis", "Farmer", "Fields", "Fischer",
    "Flores", "Fowler", "Garner", "Gomez", "Graves", "Haas", "Hale", "Harper", "Hart", "Hayes", "Holm",
    "Hunter", "Jansen", "Keller", "Kemp", "Khan", "Lang", "Larsen", "Lopez", "Marsh", "Mason", "Meyer",
    "Moreno", "Nash", "Novak", "Ortega", "Palmer", "Parker", "Pena", "Porter", "Quinn", "Ramos", "Reed",
    "Rivera", "Roth", "Sawyer", "Shaw", "Silva", "Stone", "Tanner", "Torres", "Turner", "Vance", "Vogel",
    "Wagner", "Walsh", "Weaver", "Webb", "Young",
];

const STREETS: &[&str] = &[
    "Alley", "Avenue", "Bend", "Circle", "Court", "Drive", "Lane", "Path", "Place", "Row", "Square",
    "Street", "Terrace", "Trail", "Walk", "Way",
];

const ADJECTIVES: &[&str] = &[
    "Amber", "Ancient", "Autumn", "Bitter", "Blue", "Brave", "Bright", "Broken", "Calm", "Clear", "Cold",
    "Copper", "Crooked", "Dancing", "Distant", "Drifting", "Dusty", "Early", "Electric", "Empty", "Faded",
    "Falling", "Fearless", "Gentle", "Golden", "Green", "Hidden", "Hollow", "Honest", "Humble", "Lazy",
    "Little", "Lonely", "Lost", "Lucky", "Midnight", "Northern", "Paper", "Patient", "Quiet", "Restless",
    "Rolling", "Scarlet", "Secret", "Silent", "Silver", "Slow", "Sunday", "Velvet", "Wild",
];

const NOUNS: &[&str] = &[
    "Anchor",
    "Arrow",
    "Balcony",
    "Bell",
    "Bridge",
    "Candle",
    "Canyon",
    "Carousel",
    "Comet",
    "Corner",
    "Crown",
    "Diamond",
    "Dream",
    "Engine",
    "Falcon",
    "Feather",
    "Fire",
    "Garden",
    "Harbor",
    "Heart",
    "Highway",
    "Horizon",
    "Island",
    "Kite",
    "Lantern",
    "Letter",
    "Lighthouse",
    "Machine",
    "Meadow",
    "Mirror",
    "Moon",
    "Mountain",
    "Ocean",
    "Orchard",
    "Parade",
    "Pilot",
    "Rain",
    "River",
    "Rocket",
    "Shadow",
    "Signal",
    "Sparrow",
    "Station",
    "Storm",
    "Summer",
    "Tide",
    "Train",
    "Valley",
    "Window",
    "Winter",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::TRACKS;
    use super::*;

    #[test]
    fn every_title_is_its_own() {
        let titles: HashSet<_> = (0..TRACKS).map(|track| Track::new(track).title).collect();
        assert_eq!(titles.len(), TRACKS as usize);
    }

    #[test]
    fn words_need_no_quotes() {
        let words = FIRST_NAMES.iter().copied().flatten();
        let words = words.chain(LAST_NAMES).chain(STREETS);
        for word in words.chain(ADJECTIVES).chain(NOUNS) {
            assert!(word.chars().all(|c| c.is_ascii_alphabetic()), "{word}");
        }
    }
}
