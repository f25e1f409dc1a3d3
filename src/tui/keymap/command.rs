//! Everything that a key or the palette can ask for.

use super::Preset;

/// What commands are about; help shows them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Moving and opening.
    Move,
    /// Views.
    Views,
    /// What is shown, and in which order.
    Show,
    /// Marks.
    Marks,
    /// Looking at an object.
    Look,
    /// Changing objects.
    Act,
    /// The program.
    Program,
}

impl Group {
    /// Its title in help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Move => "Move",
            Self::Views => "Views",
            Self::Show => "Show",
            Self::Marks => "Mark",
            Self::Look => "Look",
            Self::Act => "Act",
            Self::Program => "Program",
        }
    }
}

/// One line a command: variant, name in files, label in hints, sentence in help, group, keys.
macro_rules! commands {
    ($($variant:ident $name:literal $label:literal $sentence:literal $group:ident [$($key:literal)*],)+) => {
        /// What a key or the palette can ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Command {
            $(#[doc = $sentence] $variant,)+
        }

        impl Command {
            /// All of them, as help shows them.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// The name in files and in the palette.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One or two words for hints.
            pub fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// What it does, in a few words.
            pub fn sentence(self) -> &'static str {
                match self { $(Self::$variant => $sentence,)+ }
            }

            /// What it is about.
            pub fn group(self) -> Group {
                match self { $(Self::$variant => Group::$group,)+ }
            }

            /// Keys of k9s' preset.
            fn k9s_keys(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($key),*],)+ }
            }
        }
    };
}

commands! {
    Down "down" "down" "Next row or line." Move ["j" "down"],
    Up "up" "up" "Row or line before." Move ["k" "up"],
    Top "top" "first" "First row." Move ["g" "home"],
    Bottom "bottom" "last" "Last row." Move ["G" "end"],
    PageDown "page-down" "page down" "One page down." Move ["ctrl-f" "pgdn"],
    PageUp "page-up" "page up" "One page up." Move ["ctrl-b" "pgup"],
    HalfPageDown "half-page-down" "half down" "Half a page down." Move [],
    HalfPageUp "half-page-up" "half up" "Half a page up." Move [],
    Left "left" "fold" "Fold a part of a tree, or go to the column before." Move ["h" "left"],
    Right "right" "unfold" "Unfold a part of a tree, or go to the next column." Move ["right"],
    FoldAll "fold-all" "fold all" "Fold or unfold the whole tree." Move ["*"],
    Open "open" "open" "Open the selected row." Move ["enter"],
    Back "back" "back" "Back, or clear the filter." Move ["esc"],
    Quit "quit" "quit" "Back; at the top ask to quit." Move ["q"],
    ViewClusters "clusters" "clusters" "Clusters, problems first." Views ["1"],
    ViewMachines "machines" "machines" "Machines." Views ["2"],
    ViewControlPlanes "control-planes" "control planes" "Control planes with etcd's quorum." Views ["3"],
    ViewDeployments "deployments" "deployments" "MachineDeployments, MachineSets and MachinePools." Views ["4"],
    ViewTimeline "timeline" "timeline" "What clusters and machines spend their time on." Views ["5" "t"],
    ViewEvents "events" "events" "Events, newest first." Views ["6" "v"],
    ViewProblems "problems" "problems" "Problems grouped by cause." Views ["7"],
    ViewClasses "classes" "classes" "ClusterClasses with their variables and users." Views ["8"],
    ViewRequests "requests" "requests" "Who asks the management API: requests, errors, latencies." Views ["9"],
    NextView "next-view" "next view" "Next view." Views ["tab"],
    PreviousView "previous-view" "view before" "View before." Views ["backtab"],
    LastView "last-view" "last view" "The view that was shown before this one." Views ["-"],
    Filter "filter" "filter" "Filter: text, !text, -l label=value, -f letters." Show ["/"],
    ProblemsOnly "problems-only" "problems only" "Only rows with problems." Show ["ctrl-z"],
    SortName "sort-name" "by name" "Sort by name; again reverses." Show ["N"],
    SortAge "sort-age" "by age" "Sort by age." Show ["A"],
    SortState "sort-state" "by state" "Sort by state, problems first." Show ["S"],
    SortColumn "sort-column" "by column" "Sort by the next column." Show ["O"],
    Conditions "conditions" "conditions" "Conditions in a tree: none, not normal, all." Show ["C"],
    Grouping "grouping" "groups" "Like machines of a tree in one row, or each." Show ["b"],
    MachineSets "machine-sets" "sets" "MachineSets in a tree." Show ["M"],
    Echo "echo" "echo" "Objects in a tree that say nothing new." Show ["E"],
    Mark "mark" "mark" "Mark or unmark the row; acts apply to marked rows." Marks ["space"],
    ClearMarks "clear-marks" "clear marks" "Unmark all rows." Marks ["ctrl-\\"],
    Describe "describe" "describe" "The object with all that belongs to it." Look ["d"],
    Why "why" "why" "Why it is not as it should be, and when it will be." Look ["w"],
    Yaml "yaml" "yaml" "The object as YAML." Look ["y"],
    Logs "logs" "logs" "Events of the object." Look ["l"],
    Objects "objects" "objects" "Objects inside the workload cluster." Look ["o"],
    Owner "owner" "owner" "The object's owner." Look ["J"],
    CopyName "copy-name" "copy name" "Copy the name." Look ["c"],
    Actions "actions" "actions" "All that can be done with the row." Look ["m"],
    Create "create" "create" "Create clusters." Act ["a"],
    Scale "scale" "scale" "Change the number of machines." Act ["s"],
    Upgrade "upgrade" "upgrade" "Change the Kubernetes version." Act ["u"],
    Restart "restart" "restart" "Replace the machines by new ones." Act ["r"],
    Pause "pause" "pause" "Stop reconciling, or go on." Act ["z"],
    Edit "edit" "edit" "Edit the object in $EDITOR." Act ["e"],
    Kubeconfig "kubeconfig" "kubeconfig" "The cluster's kubeconfig: copy, save, or a shell." Act ["K"],
    Delete "delete" "delete" "Delete, after a question." Act ["ctrl-d"],
    Kill "kill" "delete now" "Delete without a question." Act ["ctrl-k"],
    Undo "undo" "undo" "Undo the last change, where the API allows it." Act ["U"],
    Palette "palette" "command" "Run any command by name." Program [":" "ctrl-p"],
    Help "help" "help" "Keys of this screen." Program ["?" "f1"],
    Theme "theme" "theme" "Next theme." Program ["T"],
    Presenter "presenter" "presenter" "Few large things, for an audience." Program ["f5"],
    HideHosts "hide-hosts" "hide hosts" "Hide host names and paths." Program ["f7"],
    Redraw "redraw" "redraw" "Draw everything again." Program ["ctrl-r" "ctrl-l"],
    Suspend "suspend" "suspend" "Stop the dashboard like ^z would; `fg` goes on." Program [],
    Exit "exit" "exit" "Ask to quit from anywhere." Program ["Q"],
}

impl Command {
    /// The command of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|command| command.name() == name)
    }

    /// Whether it changes objects: `--read-only` takes it away. A kubeconfig only reads.
    pub fn is_change(self) -> bool {
        self.group() == Group::Act && self != Self::Kubeconfig
    }

    /// Its keys in a preset, as files have them.
    pub(super) fn keys(self, preset: Preset) -> &'static [&'static str] {
        match (preset, self) {
            (Preset::Vim, Self::HalfPageDown) => &["ctrl-d"],
            (Preset::Vim, Self::HalfPageUp) => &["ctrl-u"],
            (Preset::Vim, Self::Delete) => &["D"],
            (Preset::Vim | Preset::K9s, _) => self.k9s_keys(),
        }
    }
}
