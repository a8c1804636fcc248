Set($rtname, 'shiftbell.test'); Set($Organization, 'shiftbell.test');
Set($WebDomain, '127.0.0.1'); Set($WebPort, @PORT@); Set($WebBaseURL, 'http://127.0.0.1:@PORT@'); Set($WebPath, '');
Set($DatabaseType, 'SQLite'); Set($DatabaseName, '@WORK@/rt.db'); Set($DatabaseUser, ''); Set($DatabasePassword, '');
Set($MailCommand, 'testfile'); Set($LogToSyslog, undef); Set($Timezone, 'Asia/Shanghai');
Set($WebSessionClass, 'Apache::Session::File'); Set($MasonSessionDir, '@WORK@/sessions');
# The same promises as in rt.py: an answer within so many open minutes.
Set(%ServiceAgreements, Default => 'office', Levels => {
    'office'   => { BusinessHours => 'office', StartImmediately => 1, Response => { BusinessMinutes => 60 } },
    'evening'  => { BusinessHours => 'evening', StartImmediately => 1, Response => { BusinessMinutes => 600 } },
    'weekend'  => { BusinessHours => 'weekend', StartImmediately => 1, Response => { BusinessMinutes => 45 } },
    'holidays' => { BusinessHours => 'holidays', StartImmediately => 1, Response => { BusinessMinutes => 1500 } },
    'now'      => { BusinessHours => 'now', StartImmediately => 1, Response => { BusinessMinutes => 1 } },
    'hours'    => { StartImmediately => 1, Response => { RealMinutes => 1 } },
});
sub hours { my ($from, $to, @days) = @_; my %open = map { $_ => 1 } @days;
    return map { $_ => { Name => $_, Start => $open{$_} ? $from : undef, End => $open{$_} ? $to : undef } } 0..6 }
Set(%ServiceBusinessHours,
    'Default'  => { hours('9:00', '18:00', 1..5) },
    'office'   => { hours('9:00', '18:00', 1..5) },
    'evening'  => { hours('13:00', '21:30', 0..6) },
    'weekend'  => { hours('10:00', '16:00', 0, 6) },
    'now'      => { hours('@FROM@', '@TO@', 0..6) },
    'holidays' => { hours('8:30', '17:15', 0..6), holidays => ['@DAY1@', '@DAY2@'] },
);
1;
