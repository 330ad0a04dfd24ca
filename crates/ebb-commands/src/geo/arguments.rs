//! Parts of the syntax that several commands share.

use ebb_engine::{Argument, ArgumentKind};

/// A unit of length.
pub(super) const UNIT: Argument = Argument::one_of(
    "unit",
    &[
        Argument::word("m", "M"),
        Argument::word("km", "KM"),
        Argument::word("ft", "FT"),
        Argument::word("mi", "MI"),
    ],
);

const LONGITUDE: Argument = Argument::new("longitude", ArgumentKind::Double);
const LATITUDE: Argument = Argument::new("latitude", ArgumentKind::Double);

/// The centre of a search.
pub(super) const FROM: Argument = Argument::one_of(
    "from",
    &[
        Argument::string("member").after("FROMMEMBER"),
        Argument::block("fromlonlat", &[LONGITUDE, LATITUDE]).after("FROMLONLAT"),
    ],
)
.optional();

/// The shape of the area.
pub(super) const BY: Argument = Argument::one_of(
    "by",
    &[
        Argument::block(
            "circle",
            &[Argument::new("radius", ArgumentKind::Double).after("BYRADIUS"), UNIT],
        ),
        Argument::block(
            "box",
            &[
                Argument::new("width", ArgumentKind::Double).after("BYBOX"),
                Argument::new("height", ArgumentKind::Double),
                UNIT,
            ],
        ),
        Argument::block(
            "polygon",
            &[
                Argument::integer("num-vertices").after("BYPOLYGON"),
                Argument::block("vertices", &[LONGITUDE, LATITUDE]).multiple(),
            ],
        )
        .since("9.0.0"),
    ],
);

/// By distance, one way or the other.
pub(super) const ORDER: Argument =
    Argument::one_of("order", &[Argument::word("asc", "ASC"), Argument::word("desc", "DESC")])
        .optional();

/// Where to store the places, by their positions or by their distances.
pub(super) const STORE: Argument = Argument::one_of(
    "store",
    &[
        Argument::key("storekey", 1).after("STORE"),
        Argument::key("storedistkey", 2).after("STOREDIST"),
    ],
)
.optional();

/// How many, and whether any will do.
pub(super) const COUNT: Argument = Argument::block(
    "count-block",
    &[Argument::integer("count").after("COUNT"), Argument::word("any", "ANY").optional()],
)
.optional();

/// The same for a command that is older than ANY.
pub(super) const COUNT_SINCE: Argument = Argument::block(
    "count-block",
    &[
        Argument::integer("count").after("COUNT"),
        Argument::word("any", "ANY").optional().since("6.2.0"),
    ],
)
.optional();

/// What is answered beyond members.
pub(super) const WITH_COORDINATES: Argument = Argument::word("withcoord", "WITHCOORD").optional();
pub(super) const WITH_DISTANCES: Argument = Argument::word("withdist", "WITHDIST").optional();
pub(super) const WITH_HASHES: Argument = Argument::word("withhash", "WITHHASH").optional();

/// The changes of the commands that search in any shape.
pub(super) const SEARCH_HISTORY: &[(&str, &str)] = &[
    ("7.0.0", "Added support for uppercase unit names."),
    ("9.0.0", "Added the `BYPOLYGON` option."),
];
