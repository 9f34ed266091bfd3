//! Where customers live and goods lie: real cities of five countries with their regions, so that maps and
//! groupings by region make sense. Names of people and streets come from the `fake` crate's tables.

use fake::locales::{DE_DE, Data, EN, FR_FR, IT_IT, NL_NL};

use crate::draw::Weighted;

/// A city that customers live in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct City {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) country: Country,
    /// First digits of its postal codes.
    pub(crate) postal: u32,
    /// Share of customers, by population and by how well the shop is known there.
    weight: f64,
}

/// A country that the shop sends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Country {
    Germany,
    Austria,
    France,
    Netherlands,
    Italy,
}

/// The words that names and addresses of a country are made of.
pub(crate) struct Words {
    pub(crate) first: &'static [&'static str],
    pub(crate) last: &'static [&'static str],
    pub(crate) streets: &'static [&'static str],
    pub(crate) phone: &'static str,
    pub(crate) mail: &'static str,
}

const GERMAN: Words = Words {
    first: DE_DE::NAME_FIRST_NAME,
    last: DE_DE::NAME_LAST_NAME,
    streets: &[
        "Hauptstraße",
        "Gartenweg",
        "Lindenallee",
        "Bahnhofstraße",
        "Schulgasse",
        "Mühlweg",
        "Rosenplatz",
        "Am Ufer",
    ],
    phone: "+49",
    mail: "post.example",
};

impl Country {
    /// ISO 3166-1 alpha-2.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Germany => "DE",
            Self::Austria => "AT",
            Self::France => "FR",
            Self::Netherlands => "NL",
            Self::Italy => "IT",
        }
    }

    /// Digits of a postal code.
    pub(crate) fn postal_digits(self) -> u32 {
        match self {
            Self::Austria | Self::Netherlands => 4,
            Self::Germany | Self::France | Self::Italy => 5,
        }
    }

    pub(crate) fn words(self) -> Words {
        match self {
            Self::Germany => GERMAN,
            Self::Austria => Words { phone: "+43", mail: "brief.example", ..GERMAN },
            Self::France => Words {
                first: FR_FR::NAME_FIRST_NAME,
                last: FR_FR::NAME_LAST_NAME,
                streets: &["Rue de la Gare", "Avenue Victor Hugo", "Rue des Lilas", "Place du Marché", "Rue Pasteur"],
                phone: "+33",
                mail: "courrier.example",
            },
            Self::Netherlands => Words {
                first: NL_NL::NAME_FIRST_NAME,
                last: NL_NL::NAME_LAST_NAME,
                streets: &["Dorpsstraat", "Kerkstraat", "Molenweg", "Stationsplein", "Schoollaan"],
                phone: "+31",
                mail: "bericht.example",
            },
            Self::Italy => Words {
                first: IT_IT::NAME_FIRST_NAME,
                last: IT_IT::NAME_LAST_NAME,
                streets: &["Via Roma", "Via Garibaldi", "Corso Italia", "Piazza Dante", "Via Verdi"],
                phone: "+39",
                mail: "lettera.example",
            },
        }
    }
}

/// Fields of work and positions, for occupations.
pub(crate) const JOB_FIELDS: &[&str] = EN::JOB_FIELD;
/// See [`JOB_FIELDS`].
pub(crate) const JOB_POSITIONS: &[&str] = EN::JOB_POSITION;
/// Last names of founders, for suppliers.
pub(crate) const FOUNDERS: &[&str] = DE_DE::NAME_LAST_NAME;

const fn city(name: &'static str, region: &'static str, country: Country, postal: u32, weight: f64) -> City {
    City { name, region, country, postal, weight }
}

/// Every city, in a fixed order: an index into it is part of what a seed means.
pub(crate) const CITIES: &[City] = &[
    city("Berlin", "Berlin", Country::Germany, 10, 36.0),
    city("Hamburg", "Hamburg", Country::Germany, 20, 19.0),
    city("München", "Bayern", Country::Germany, 80, 15.0),
    city("Köln", "Nordrhein-Westfalen", Country::Germany, 50, 11.0),
    city("Frankfurt am Main", "Hessen", Country::Germany, 60, 8.0),
    city("Stuttgart", "Baden-Württemberg", Country::Germany, 70, 6.3),
    city("Düsseldorf", "Nordrhein-Westfalen", Country::Germany, 40, 6.2),
    city("Leipzig", "Sachsen", Country::Germany, 4, 6.0),
    city("Dortmund", "Nordrhein-Westfalen", Country::Germany, 44, 5.9),
    city("Bremen", "Bremen", Country::Germany, 28, 5.7),
    city("Dresden", "Sachsen", Country::Germany, 1, 5.6),
    city("Hannover", "Niedersachsen", Country::Germany, 30, 5.4),
    city("Nürnberg", "Bayern", Country::Germany, 90, 5.2),
    city("Freiburg im Breisgau", "Baden-Württemberg", Country::Germany, 79, 2.3),
    city("Mainz", "Rheinland-Pfalz", Country::Germany, 55, 2.2),
    city("Kiel", "Schleswig-Holstein", Country::Germany, 24, 2.4),
    city("Erfurt", "Thüringen", Country::Germany, 99, 2.1),
    city("Magdeburg", "Sachsen-Anhalt", Country::Germany, 39, 2.3),
    city("Potsdam", "Brandenburg", Country::Germany, 14, 1.8),
    city("Rostock", "Mecklenburg-Vorpommern", Country::Germany, 18, 2.0),
    city("Saarbrücken", "Saarland", Country::Germany, 66, 1.7),
    city("Wien", "Wien", Country::Austria, 1, 9.5),
    city("Graz", "Steiermark", Country::Austria, 8, 1.5),
    city("Linz", "Oberösterreich", Country::Austria, 4, 1.0),
    city("Salzburg", "Salzburg", Country::Austria, 5, 0.8),
    city("Paris", "Île-de-France", Country::France, 75, 8.0),
    city("Lyon", "Auvergne-Rhône-Alpes", Country::France, 69, 2.0),
    city("Marseille", "Provence-Alpes-Côte d'Azur", Country::France, 13, 2.2),
    city("Lille", "Hauts-de-France", Country::France, 59, 1.1),
    city("Strasbourg", "Grand Est", Country::France, 67, 1.6),
    city("Amsterdam", "Noord-Holland", Country::Netherlands, 10, 4.4),
    city("Rotterdam", "Zuid-Holland", Country::Netherlands, 30, 3.2),
    city("Utrecht", "Utrecht", Country::Netherlands, 35, 1.8),
    city("Eindhoven", "Noord-Brabant", Country::Netherlands, 56, 1.2),
    city("Milano", "Lombardia", Country::Italy, 20, 3.0),
    city("Roma", "Lazio", Country::Italy, 1, 2.6),
    city("Torino", "Piemonte", Country::Italy, 10, 1.1),
    city("Bolzano", "Trentino-Alto Adige", Country::Italy, 39, 0.7),
];

/// The choice of a city by its weight.
pub(crate) fn city_weights() -> Weighted {
    Weighted::new(CITIES.iter().map(|city| city.weight))
}

/// A building that parcels leave from: code, name, index into [`CITIES`], latitude and longitude as decimals.
pub(crate) struct Center {
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    pub(crate) city: usize,
    pub(crate) latitude: &'static str,
    pub(crate) longitude: &'static str,
}

/// The shop's distribution centers; ids count from 1 in this order.
pub(crate) const CENTERS: &[Center] = &[
    Center { code: "LEJ1", name: "Leipzig Nord", city: 7, latitude: "51.423900", longitude: "12.236200" },
    Center { code: "CGN1", name: "Köln West", city: 3, latitude: "50.938400", longitude: "6.783900" },
    Center { code: "VIE1", name: "Wien Süd", city: 21, latitude: "48.087400", longitude: "16.317600" },
    Center { code: "LYS1", name: "Lyon Est", city: 26, latitude: "45.731300", longitude: "5.017800" },
];

/// The center that serves a city first.
pub(crate) fn center_of(city: usize) -> usize {
    let City { country, region, .. } = CITIES[city];
    match country {
        Country::France => 3,
        Country::Austria | Country::Italy => 2,
        Country::Netherlands => 1,
        Country::Germany => match region {
            "Nordrhein-Westfalen" | "Hessen" | "Rheinland-Pfalz" | "Saarland" | "Baden-Württemberg" | "Bremen" => 1,
            _ => 0,
        },
    }
}

/// Carriers: code, name, phone, tracking page, share of parcels.
pub(crate) const SHIPPERS: &[(&str, &str, &str, &str, f64)] = &[
    ("GELB", "Gelbe Post", "+49 228 5550100", "https://gelbepost.example/track/", 0.46),
    ("HERA", "Hera Versand", "+49 40 5550101", "https://hera.example/s/", 0.22),
    ("DPX", "DPX Parcel", "+49 6021 5550102", "https://dpx.example/parcel/", 0.18),
    ("RADL", "Radlkurier", "+43 1 5550103", "https://radl.example/weg/", 0.06),
    ("NORD", "Nordfracht", "+49 431 5550104", "https://nordfracht.example/t/", 0.08),
];
