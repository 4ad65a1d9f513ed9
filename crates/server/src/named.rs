//! Enums whose variants have names.

/// Declares an enum with the name of each variant beside it, and the list of all: `enum Stage { Queue = "queue", }`.
/// With `words` instead of `enum`, files and the command line use the same names.
macro_rules! named {
    ($(#[$($about:tt)+])+ $vis:vis enum $name:ident { $($(#[$($meaning:tt)+])* $variant:ident = $text:tt,)+ }) => {
        $(#[$($about)+])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$($meaning)+])* $variant,)+
        }

        impl $name {
            /// All, as declared.
            $vis const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// Its name.
            $vis fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
    ($(#[$($about:tt)+])+ $vis:vis words $name:ident { $($(#[$($meaning:tt)+])* $variant:ident = $text:tt,)+ }) => {
        $crate::named::named! {
            $(#[$($about)+])+
            #[derive(serde::Deserialize, serde::Serialize, schemars::JsonSchema, clap::ValueEnum)]
            $vis enum $name {
                $($(#[$($meaning)+])* #[serde(rename = $text)] #[value(name = $text)] $variant = $text,)+
            }
        }
    };
}
pub(crate) use named;
